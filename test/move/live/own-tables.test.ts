/** Live moves of two own tables with foreign keys, while an application writes them: nothing is lost, and the fence covers them. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openStorage } from '../../../src/index.ts'
import { MAIN, runCommand } from '../../cli/support/command.ts'
import { integerFrom, randomFrom } from '../../faults/random.ts'
import { shows } from '../../faults/shown.ts'
import { createDatabase, type TestDatabase } from '../../postgres/support/database.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { Program } from '../../sqlite/support/program.ts'
import { bound, SEED } from '../../support/bounds.ts'
import { expectCode } from '../../support/expectations.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { APPLIED, addOwnRows, addOwnTables, ownContent } from '../../support/own-tables.ts'
import { manyNodes, numbered } from '../../support/samples.ts'
import type { Acknowledged, Order } from './programs/own-writer.ts'
import { moveBeside } from './support/beside.ts'

const MOVES = bound('OWN_MOVES', { brief: 1, short: 2, long: 20 })
const KILLS = bound('OWN_MOVE_KILLS', { brief: 2, short: 6, long: 40 })
const PER_SECOND = 500
const WRITER = fileURLToPath(new URL('programs/own-writer.ts', import.meta.url))

interface Where extends AsyncDisposable {
  readonly path: string
  readonly database: TestDatabase
}

async function place(): Promise<Where> {
  const folder = temporaryFolder()
  const path = folder.file('mesh.db')
  const database = await createDatabase()
  await (await openStorage(database.url)).close()
  await addOwnTables(database.url)
  {
    await using store = await openStorage(path)
    await store.nodes.createMany(manyNodes(1_500, 'before'))
  }
  await addOwnTables(path)
  await addOwnRows(
    path,
    Array.from({ length: 300 }, (_, n) => numbered('before', n)),
  )
  return {
    path,
    database,
    [Symbol.asyncDispose]: async () => {
      await database[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

class Writer implements Disposable {
  readonly #child: ChildProcess
  readonly ended: Promise<Acknowledged>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.ended = new Promise((resolve, reject) => {
      child.on('message', (said) => {
        if (said !== 'writing') resolve(said as Acknowledged)
      })
      child.on('exit', (code) => reject(new Error(`The writer ended with ${code}.`)))
    })
    this.ended.catch(() => {})
  }

  static async start(order: Order): Promise<Writer> {
    const writer = new Writer(fork(WRITER))
    const writing = once(writer.#child, 'message')
    writer.#child.send(order)
    await Promise.race([writing, writer.ended])
    return writer
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }
}

/** Rows that were acknowledged and are not there, or the reverse. */
async function wrongIn({ database }: Where, told: Acknowledged): Promise<string[]> {
  const wrong: string[] = []
  const compare = (what: string, expected: ReadonlyMap<string, unknown>, found: ReadonlyMap<string, unknown>): void => {
    for (const [key, value] of expected)
      if (JSON.stringify(found.get(key)) !== JSON.stringify(value)) wrong.push(`${what} ${key} is lost`)
    for (const key of found.keys()) if (!expected.has(key)) wrong.push(`${what} ${key} is too much`)
  }
  const ask = async (sql: string): Promise<Map<string, unknown>> =>
    new Map((await database.query<{ key: string; value: unknown }>(sql)).map(({ key, value }) => [key, value]))
  const mine = (key: string): string => `${key} LIKE 'k-%'`
  compare(
    'link',
    new Map(Object.entries(told.links)),
    await ask(
      `SELECT link_id AS key, json_build_array(source, site_id, cost) AS value FROM links WHERE ${mine('link_id')}`,
    ),
  )
  compare(
    'site',
    new Map(Object.entries(told.sites)),
    await ask(`SELECT site_id AS key, name AS value FROM sites WHERE ${mine('site_id')}`),
  )
  compare(
    'node',
    new Map(told.nodes.map((key) => [key, key])),
    await ask(`SELECT node_id AS key, node_id AS value FROM nodes WHERE ${mine('node_id')}`),
  )
  return wrong
}

const p99 = (all: readonly number[]): number => all.toSorted((a, b) => a - b)[Math.ceil(0.99 * all.length) - 1] ?? 0

describePostgres('own tables', () => {
  test(`${MOVES} moves under load lose nothing`, { timeout: 240_000 + MOVES * 60_000 }, async () => {
    const figures = { writes: 0, followed: 0, wrong: 0, differing: 0 }
    const pauses: number[] = []
    for (let move = 0; move < MOVES; move++) {
      await using where = await place()
      using writer = await Writer.start({ path: where.path, seed: SEED + move, perSecond: PER_SECOND })
      const report = await moveBeside(where.path, where.database.url)
      const told = await writer.ended
      expect(told.error).toContain('this database has moved to PostgreSQL')
      const wrong = await wrongIn(where, told)
      const same = (await ownContent(where.path)) === (await ownContent(where.database.url))
      expect(report.ownTables).toMatchObject({ links: { rows: expect.any(Number) }, sites: {} })
      expect(report.followed).toBeGreaterThan(0)
      console.log(
        `move ${move + 1}: ${told.writes} transactions, ${report.followed} followed, pause ${report.pauseMs.toFixed(1)} ms, longest write ${told.longestMs.toFixed(0)} ms, ${report.attempts} attempts`,
        wrong.slice(0, 5),
      )
      pauses.push(report.pauseMs)
      figures.writes += told.writes
      figures.followed += report.followed
      figures.wrong += wrong.length
      if (!same) figures.differing++
    }
    console.log(`SEED=${SEED}`, figures, `pause p99 ${p99(pauses).toFixed(0)} ms`)
    shows(`${MOVES} moves of two own tables, ${figures.writes} transactions: none lost, contents equal`)
    expect(figures).toMatchObject({ wrong: 0, differing: 0 })
  })

  test(`${KILLS} times by kill -9 of the mover`, { timeout: 240_000 + KILLS * 30_000 }, async () => {
    const random = randomFrom(SEED)
    for (let kills = 0; kills < KILLS; ) {
      await using where = await place()
      using writer = await Writer.start({ path: where.path, seed: SEED + kills, perSecond: PER_SECOND })
      const args = ['move', '--from', where.path, '--to', where.database.url, '--yes']
      for (let more = 0, resume = false; more < 3 && kills < KILLS; more++) {
        const program = new Program(process.execPath, [MAIN, ...args, ...(resume ? ['--resume'] : [])])
        await wait(integerFrom(random, 200, 1_200))
        await program.kill()
        kills++
        const raw = new Sqlite(where.path, { readonly: true })
        const state = raw.prepare<[], string>('SELECT name FROM meshstore_state').pluck().all()
        raw.close()
        if (state.includes('moved')) break
        resume = state.includes('move')
      }
      const status = await runCommand(['move', '--from', where.path, '--status', '--json'])
      const { state } = JSON.parse(status.stdout)
      const last = await runCommand([...args, ...(state === 'under way' ? ['--resume'] : [])], { timeoutMs: 60_000 })
      expect(last.code, last.stderr).toBe(0)
      const told = await writer.ended
      expect(await wrongIn(where, told)).toEqual([])
      expect(await ownContent(where.database.url)).toBe(await ownContent(where.path))
    }
    shows(`${KILLS} kills of a move of two own tables: none of its rows lost, contents equal`)
  })

  test('the fence refuses writes to them, and is not there before', async () => {
    await using where = await place()
    const raw = new Sqlite(where.path)
    const fence = raw
      .prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '%\\_moved\\_%' ESCAPE '\\'")
      .pluck()
    const stop = new AbortController()
    const stopped = moveBeside(where.path, where.database.url, {
      signal: stop.signal,
      onProgress: ({ step }) => step === 'switching' && stop.abort('enough'),
    })
    await expect(stopped).rejects.toBe('enough')
    expect(fence.get()).toBe(0)
    await moveBeside(where.path, where.database.url)
    for (const sql of ['UPDATE links SET cost = 2', 'DELETE FROM sites', "INSERT INTO sites VALUES ('x', 'x')"])
      expect(() => raw.exec(sql)).toThrow('has moved')
    expect(fence.get()).toBe(15)
    raw.close()
  })

  test('a move that is given up empties them', async () => {
    await using where = await place()
    const stop = new AbortController()
    const onProgress = ({ step }: { step: string }): void => {
      if (step === 'verifying') stop.abort('enough')
    }
    await expect(moveBeside(where.path, where.database.url, { signal: stop.signal, onProgress })).rejects.toBe('enough')
    expect(await ownContent(where.database.url)).not.toBe('[["links",[]],["sites",[]]]')
    const args = ['move', '--from', where.path, '--to', where.database.url]
    expect(await runCommand([...args, '--abort'])).toMatchObject({ code: 0 })
    expect(await ownContent(where.database.url)).toBe('[["links",[]],["sites",[]]]')
    const planned = await runCommand([...args, '--dry-run'])
    expect(planned).toMatchObject({ code: 0, stdout: expect.stringContaining('900 rows of links') })
  })

  test('without the tables in the target a move is refused before anything is written', async () => {
    await using where = await place()
    await using empty = await createDatabase()
    const { message } = await expectCode(moveBeside(where.path, empty.url), 'SCHEMA_MISMATCH')
    expect(message).toContain("no tables sites, links, which are the application's own. Nothing was written.")
    expect(message).toContain(APPLIED)
    expect(await empty.query("SELECT 1 FROM pg_tables WHERE tablename = 'nodes'")).toEqual([])
  })

  test('a row whose parent is missing is refused', async () => {
    await using where = await place()
    const raw = new Sqlite(where.path)
    raw.pragma('foreign_keys = OFF')
    raw.exec("UPDATE links SET source = 'nobody' WHERE link_id = 'before-0007-1'")
    raw.close()
    const { message } = await expectCode(moveBeside(where.path, where.database.url), 'CORRUPT')
    expect(message).toContain('links "before-0007-1"')
  })

  test('tables that the application changes meanwhile are found at the switch', async () => {
    await using where = await place()
    let changed = false
    const moving = moveBeside(where.path, where.database.url, {
      onProgress: ({ step }) => {
        if (step !== 'verifying' || changed) return
        changed = true
        const raw = new Sqlite(where.path)
        raw.exec(
          'UPDATE meshstore_state SET value = replace(value, \'"name":"hops"\', \'"name":"hops" \') WHERE name = \'table:links\'',
        )
        raw.exec("DELETE FROM meshstore_state WHERE name = 'table:sites'")
        raw.close()
      },
    })
    expect((await expectCode(moving, 'CONFLICT')).message).toContain('changed during the move')
  })
})
