/** Moves that are wrong on purpose: each must fail, or be reported by what judges the others. */
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { raiseFence } from '../../../src/database/sqlite/fence.ts'
import { type Meshstore, openStorage } from '../../../src/index.ts'
import { assertDrained } from '../../../src/move/live/change-capture.ts'
import { readMove } from '../../../src/move/live/move-record.ts'
import type { MoveRecord, Progress } from '../../../src/move/live/progress.ts'
import { followed } from '../../../src/move/live/source.ts'
import { apply, MoveTarget } from '../../../src/move/live/target.ts'
import { configOf, successorOf } from '../../../src/open/config.ts'
import { openSqlite } from '../../../src/open/sqlite.ts'
import { OUR_TABLES_ALONE } from '../../../src/rows/own-tables.ts'
import { ALL_TABLES } from '../../../src/schema/tables.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { expectCode } from '../../support/expectations.ts'
import { sqliteProgram } from '../../support/other-program.ts'
import { manyNodes, node, numbered } from '../../support/samples.ts'
import { judged, type Place, place } from './support/arena.ts'
import { moveBeside } from './support/beside.ts'
import { Load } from './support/load.ts'
import { moving } from './support/moving.ts'

type Step = 'copying' | 'following' | 'verifying' | 'switching'

/** Stops a move of the file at the step's n-th report. */
async function stopAt(store: Meshstore, url: string, at: Step, reports = 1): Promise<void> {
  const stop = new AbortController()
  const onProgress = ({ step }: { step: string }): void => {
    if (step === at && --reports === 0) stop.abort('enough')
  }
  await expect(store.moveTo(url, { signal: stop.signal, onProgress })).rejects.toBe('enough')
}

describePostgres('the capture', () => {
  test.each(['insert', 'update', 'delete'])(
    'without the trigger for each %s the move does not begin',
    async (event) => {
      await using moved = await moving()
      await sqliteProgram(moved.path).execute(`DROP TRIGGER nodes_log_${event}`)
      await expectCode(moved.store.moveTo(moved.url), 'SCHEMA_MISMATCH')
      expect(moved.store.dialect).toBe('sqlite')
    },
  )

  test.each(['copying', 'switching'] as const)('that is lost while %s is found before the fence', async (when) => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(100))
    const raw = new Sqlite(moved.path)
    let lost = false
    const move = store.moveTo(moved.url, {
      onProgress: ({ step }) => {
        if (step !== when || lost) return
        lost = true
        raw.exec('DROP TRIGGER nodes_log_update')
      },
    })
    await expectCode(move, 'SCHEMA_MISMATCH')
    raw.close()
    expect(store.dialect).toBe('sqlite')
    await store.nodes.create(node('goes-on'))
  })

  test('that hears nothing, though its triggers are there: the comparison of all rows finds out', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(1_000))
    const raw = new Sqlite(moved.path)
    raw.exec('DROP TRIGGER nodes_log_update; CREATE TRIGGER nodes_log_update AFTER UPDATE ON nodes BEGIN SELECT 1; END')
    let changes = 0
    const move = store.moveTo(moved.url, {
      onProgress: ({ step }) => {
        // It has been copied by then.
        if (step === 'following' && changes === 0)
          changes += raw
            .prepare('UPDATE nodes SET routes_discovered = 1 WHERE node_id = ?')
            .run(numbered('n', 0)).changes
      },
    })
    expect((await expectCode(move, 'CONFLICT')).message).toContain('nodes')
    expect(changes).toBe(1)
    raw.close()
    expect(store.dialect).toBe('sqlite')
  })

  test('from a position that was read after the first rows were: the comparison of all rows finds out', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(3_000))
    await stopAt(store, moved.url, 'copying', 3)
    await store.nodes.recordRoutes(numbered('n', 0))
    const [row] = await moved.ask("SELECT value FROM meshstore_state WHERE name = 'move'")
    const progress: Progress = JSON.parse(String(row?.value))
    const [begin, first] = await sqliteProgram(moved.path).rows('meshstore_changes')
    expect(progress).toMatchObject({ phase: 'copying', position: `1/${begin?.nonce}` })
    const later = JSON.stringify({ ...progress, position: `2/${first?.nonce}` })
    await moved.ask(`UPDATE meshstore_state SET value = '${later}' WHERE name = 'move'`)
    expect((await expectCode(store.moveTo(moved.url), 'CONFLICT')).message).toContain('nodes')
    expect(store.dialect).toBe('sqlite')
  })
})

interface Planted {
  readonly move: MoveRecord
  readonly ready: Progress
}

/** The end of a switch whose log was drained before the lock was had, and a writer that came between the two. */
async function drainedTooEarly(where: Place, check: (raw: Sqlite.Database, planted: Planted) => void): Promise<void> {
  const { path, database } = where
  await using store = await openStorage(path)
  await stopAt(store, database.url, 'switching')
  const file = await openSqlite(path, configOf(path))
  const target = await MoveTarget.open(successorOf(database.url), 5_000)
  try {
    const [move, progress] = [(await readMove(file)) as MoveRecord, (await target.progress()) as Progress]
    const rest = await file.onReader(({ raw }) => followed(raw, OUR_TABLES_ALONE, progress.position, 1_000))
    const ready: Progress = { ...progress, phase: 'ready', position: rest.position }
    await target.advance(progress, ready, async (ask) => void (await apply(ask, OUR_TABLES_ALONE, rest)))
    await store.nodes.create(node('between'))
    await file.exclusively(async (raw) => {
      check(raw, { move, ready })
      raiseFence(raw, move, new Date())
    })
  } finally {
    await target.close()
    await file.close()
  }
}

describePostgres('a log that is drained before the lock is had', () => {
  test('is found under the lock', async () => {
    await using where = await place()
    const switching = drainedTooEarly(where, (raw, { move, ready }) => assertDrained(raw, move, ready, ALL_TABLES))
    await expectCode(switching, 'CONFLICT')
    await (await openStorage(where.path)).close()
  })

  test("would be found by this test's own hash", async () => {
    await using where = await place()
    await drainedTooEarly(where, () => {})
    const { hashes } = await judged(where, [])
    expect(hashes.target).not.toBe(hashes.file)
  })

  test('the same hash finds no fault with a sound move', async () => {
    await using where = await place()
    await moveBeside(where.path, where.database.url)
    const { hashes } = await judged(where, [])
    expect(hashes.target).toBe(hashes.file)
  })
})

describePostgres('a target that loses something', () => {
  test.each([
    ['drops a row that is copied', 'INSERT', "NEW.node_id = 'before-0007'"],
    ['drops a change that is followed', 'UPDATE', "NEW.node_id = 'before-0003'"],
  ])('%s: nothing is switched', async (_, event, when) => {
    await using where = await place()
    await where.database.query(
      `CREATE FUNCTION dropping() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
    )
    await where.database.query(
      `CREATE TRIGGER dropping BEFORE ${event} ON nodes FOR EACH ROW WHEN (${when}) EXECUTE FUNCTION dropping()`,
    )
    await using store = await openStorage(where.path)
    const late: Promise<unknown>[] = []
    const move = store.moveTo(where.database.url, {
      onProgress: ({ step }) => {
        if (step === 'verifying' && late.length === 0) late.push(store.nodes.recordRoutes('before-0003'))
      },
    })
    await expectCode(move, 'CONFLICT')
    await Promise.all(late)
    expect(store.dialect).toBe('sqlite')
  })

  test('after the switch, a row, a count, an entry too many: the judge tells', async () => {
    await using where = await place()
    const { path, database } = where
    await using store = await openStorage(path)
    const load = new Load(store, 'here', 1)
    load.start(400)
    await store.moveTo(database.url)
    while (load.journal.writes < 200) await new Promise((resolve) => setTimeout(resolve, 5))
    const journal = await load.stop()
    const sound = await judged(where, [journal])
    expect(sound).toMatchObject({ lost: [], duplicated: [], rejected: [], stale: [] })
    expect(sound.hashes.target).toBe(sound.hashes.file)

    const [created] = Object.entries(journal.nodes).flatMap(([id, n]) => (n === 0 ? [id] : []))
    const [policyId] = Object.keys(journal.policies)
    await database.query(`DELETE FROM nodes WHERE node_id = '${created}'`)
    await database.query("UPDATE nodes SET routes_discovered = routes_discovered + 1 WHERE node_id = 'shared-3'")
    await database.query("UPDATE nodes SET routes_discovered = routes_discovered - 1 WHERE node_id = 'shared-4'")
    await database.query(`UPDATE policies SET yaml_content = 'turn: 0' WHERE policy_id = '${policyId}'`)
    await database.query("INSERT INTO nodes SELECT 'stray', interfaces, protocols, started, 0, 1, 1 FROM nodes LIMIT 1")
    const { lost, duplicated } = await judged(where, [journal])
    expect(lost.map((each) => each.split(':')[0]).toSorted()).toEqual(
      [created, `policy ${policyId}`, 'shared-4'].toSorted(),
    )
    expect(duplicated.map((each) => each.split(':')[0]).toSorted()).toEqual(['shared-3', 'stray'])

    await database.query('ALTER TABLE nodes DISABLE TRIGGER noting')
    await database.query("DELETE FROM nodes WHERE node_id = 'before-0001'")
    const { hashes } = await judged(where, [journal])
    expect(hashes.target).not.toBe(hashes.file)
  })

  test('a caller who is refused tells', async () => {
    await using where = await place()
    // Without a successor.
    await using store = await openStorage(where.path)
    const load = new Load(store, 'here', 1)
    load.start(200)
    await moveBeside(where.path, where.database.url)
    while (load.journal.rejected.length < 10) await new Promise((resolve) => setTimeout(resolve, 5))
    const { rejected } = await judged(where, [await load.stop()])
    expect(rejected.length).toBeGreaterThanOrEqual(10)
    for (const each of rejected) expect(each).toMatch(/: MOVED /)
  })
})
