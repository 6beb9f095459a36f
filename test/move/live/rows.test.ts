/** Rows that a move may get wrong, by whichever of its ways they come: copied, followed, or in the switch itself. */
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { describePostgres } from '../../postgres/support/suite.ts'
import { expectCode, IDS_BY_BYTES } from '../../support/expectations.ts'
import { type Row, sqliteProgram, type Table } from '../../support/other-program.ts'
import { postgresProgram } from '../../support/postgres-backend.ts'
import { node } from '../../support/samples.ts'
import { ownHash, type Place } from '../support/places.ts'
import { nasty } from '../support/rows.ts'
import { type Moving, moving } from './support/moving.ts'

const hashOf = (other: Place['other']): Promise<string> => ownHash({ other } as Place)

function insert(path: string, rows: readonly (readonly [Table, Row])[]): void {
  const raw = new Sqlite(path)
  raw.exec('BEGIN')
  for (const [table, row] of rows) {
    const columns = Object.keys(row)
    raw
      .prepare(`INSERT OR REPLACE INTO ${table} (${columns.join()}) VALUES (${columns.map(() => '?').join()})`)
      .run(Object.values(row))
  }
  raw.exec('COMMIT')
  raw.close()
}

const manual = { pathCache: { invalidation: 'manual' } } as const

describePostgres('every kind of row', () => {
  test.each(['before', 'following', 'switching'] as const)('written: %s', async (when) => {
    await using moved = await moving(manual)
    let written = when === 'before'
    if (written) insert(moved.path, nasty)
    await moved.store.moveTo(moved.url, {
      onProgress: ({ step }) => {
        if (step !== when || written) return
        written = true
        insert(moved.path, nasty)
      },
      maxPauseMs: 60_000,
    })
    expect(written).toBe(true)
    const [there, here] = [await hashOf(postgresProgram(moved.direct)), await hashOf(sqliteProgram(moved.path))]
    expect(there).toBe(here)
    expect(await moved.ask('SELECT 1 FROM nodes')).toHaveLength(nasty.filter(([table]) => table === 'nodes').length)
  })

  test('keys that change, and rows that come and go and come again', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(IDS_BY_BYTES.map((id) => node(id)))
    const raw = new Sqlite(moved.path)
    let turn = 0
    await store.moveTo(moved.url, {
      onProgress: () => {
        turn++
        for (const id of IDS_BY_BYTES) {
          raw.prepare('UPDATE nodes SET node_id = ? WHERE node_id = ?').run(`${id}${turn}`, `${id}${turn - 1 || ''}`)
          raw.prepare('DELETE FROM nodes WHERE node_id = ?').run(`${id}${turn}`)
          raw.prepare("INSERT INTO nodes VALUES (?, '[]', '[]', 0, ?, 1, 1)").run(`${id}${turn}`, turn)
        }
      },
    })
    raw.close()
    expect((await store.nodes.list()).map(({ nodeId, routesDiscovered }) => [nodeId, routesDiscovered])).toEqual(
      IDS_BY_BYTES.map((id) => [`${id}${turn}`, turn]),
    )
  })
})

describePostgres('a key that only looks broken', () => {
  test('U+FFFD is a letter like others: its row may be deleted', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(['\ufffd', 'a\ufffd'].map((id) => node(id)))
    await store.moveTo(moved.url, {
      onProgress: ({ step }) => {
        if (step === 'following') execute(moved, "DELETE FROM nodes WHERE node_id = 'a\ufffd'")
      },
    })
    expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['\ufffd'])
  })

  test.each([
    ['a key that is no UTF-8', "CAST(x'61ff' AS TEXT)"],
    ['a key that is no text', "x'6162'"],
  ])('%s is refused while it is there, and forgotten when it has gone', async (_, key) => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.create(node('a'))
    let done = false
    const once = ({ step }: { step: string }): void => {
      if (step !== 'following' || done) return
      done = true
      execute(moved, `INSERT INTO policies VALUES (${key}, 'rules: []', 0, 1, 1)`)
    }
    await expectCode(store.moveTo(moved.url, { onProgress: once }), 'CORRUPT')
    await expectCode(store.moveTo(moved.url), 'CORRUPT')
    execute(moved, `DELETE FROM policies WHERE policy_id = ${key}`)
    await store.moveTo(moved.url)
    expect(await store.policies.count()).toBe(0)
  })
})

function execute({ path }: Moving, sql: string): void {
  const raw = new Sqlite(path)
  raw.exec(sql)
  raw.close()
}
