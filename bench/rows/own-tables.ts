/** An own table beside `nodes`, and its updates and deletions by filter beside one statement by hand. */
import { join } from 'node:path'
import { childPath, runNode } from '../child.ts'
import { type Comparison, compare, compareByTurns, eachAwaited } from '../compare.ts'
import type { Benchmark, Context } from '../context.ts'
import { newFile } from '../context.ts'
import { filledFile, NODES, nodeId, nodeOf } from '../data.ts'
import { libraryPath, openDriver } from '../driver.ts'
import { type OwnStore, openOwn, stationOf, writeMigrations } from '../own-tables.ts'
import { NoServer, withDatabase, withServer } from '../postgres-server.ts'
import { RawPostgres } from '../raw-postgres.ts'
import { atMost, type Result, scaled } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const MANY = 10_000
const BESIDE_NODES = 1.1
const BY_HAND = 1.2
const START_MS = 25

const NAMES = ['get', 'create', 'updateMany of 10,000', 'deleteMany of 10,000'] as const
const nameOf = (dialect: string, name: (typeof NAMES)[number]): string => `${dialect}own table: ${name}`

/** Runs a statement by hand on the same database, in a transaction of its own. */
type ByHand = (sql: string) => unknown

async function measured(context: Context, { store, stations }: OwnStore, byHand: ByHand, dialect: string) {
  const { quick, progress } = context
  await store.nodes.createMany(Array.from({ length: NODES }, (_, n) => nodeOf(n)))
  await stations.createMany(Array.from({ length: NODES }, (_, n) => stationOf(n)))
  const id = (n: number): string => nodeId((n * 7_919) % NODES)
  const calls = 400
  progress(nameOf(dialect, 'get'))
  const get = await compare(
    {
      ours: (round) => eachAwaited(calls, (n) => stations.get(id(round * calls + n))),
      raw: (round) => eachAwaited(calls, (n) => store.nodes.get(id(round * calls + n))),
    },
    quick ? 40 : 200,
  )
  progress(nameOf(dialect, 'create'))
  const create = await compareByTurns(
    {
      ours: (n) => stations.create(stationOf(NODES + n)),
      raw: (n) => store.nodes.create(nodeOf(NODES + n)),
    },
    { rounds: quick ? 10 : 40, calls: 40 },
  )
  await stations.deleteMany({ started: true })
  await stations.deleteMany({ started: false })
  const many = Array.from({ length: MANY }, (_, n) => ({ ...stationOf(n), started: true }))
  await stations.createMany(many)
  const timed = async (work: () => unknown): Promise<number> => {
    const begun = performance.now()
    await work()
    return performance.now() - begun
  }
  progress(nameOf(dialect, 'updateMany of 10,000'))
  let value = 0
  const now = (): string => String(Date.now() / 1_000)
  const update = await compare(
    {
      ours: () => timed(() => stations.updateMany({ started: true }, { routesDiscovered: ++value })),
      raw: () =>
        timed(() => byHand(`UPDATE stations SET routes_discovered = ${++value}, updated_at = ${now()} WHERE started`)),
    },
    quick ? 5 : 20,
    2,
  )
  progress(nameOf(dialect, 'deleteMany of 10,000'))
  const again = async (work: () => unknown): Promise<number> => {
    const took = await timed(work)
    await stations.createMany(many)
    return took
  }
  const remove = await compare(
    {
      ours: () => again(() => stations.deleteMany({ started: true })),
      raw: () => again(() => byHand('DELETE FROM stations WHERE started')),
    },
    quick ? 3 : 10,
    1,
  )
  const beside = (name: (typeof NAMES)[number], found: Comparison, limit: number, what: string): Result => ({
    name: nameOf(dialect, name),
    unit: 'ms',
    ...found,
    targets: [atMost(limit, found.ratio.p50, '×', `${limit} × ${what}`)],
  })
  const inMicroseconds = { ...get, ours: scaled(get.ours, 1_000), raw: scaled(get.raw, 1_000) }
  return [
    { ...beside('get', inMicroseconds, BESIDE_NODES, 'nodes.get'), unit: 'µs' as const },
    beside('create', create, BESIDE_NODES, 'nodes.create'),
    beside('updateMany of 10,000', update, BY_HAND, 'one UPDATE'),
    beside('deleteMany of 10,000', remove, BY_HAND, 'one DELETE'),
  ]
}

async function onSqlite(context: Context, migrations: string): Promise<Result[]> {
  const file = newFile(context, 'own')
  await using own = await openOwn(file, migrations)
  const raw = openDriver(file, 'full')
  try {
    return await measured(context, own, (sql) => raw.exec(sql), '')
  } finally {
    raw.close()
  }
}

const POSTGRES = 'PostgreSQL: '

async function onPostgres(context: Context, migrations: string): Promise<Result[]> {
  try {
    return await withServer((server) =>
      withDatabase(server, async (url) => {
        await using own = await openOwn(url, migrations)
        const raw = new RawPostgres(url, 1)
        try {
          return await measured(context, own, (sql) => raw.execute(sql), POSTGRES)
        } finally {
          await raw.close()
        }
      }),
    )
  } catch (error) {
    if (!(error instanceof NoServer)) throw error
    const notes = [`NOT MEASURED: ${error.message}`]
    return NAMES.map((name) => ({ name: nameOf(POSTGRES, name), unit: '', ours: summaryOf([]), targets: [], notes }))
  }
}

/** From `node` started to the first row, with two own tables and without. */
async function started(context: Context, migrations: string): Promise<Result> {
  const name = 'start to first row, two own tables'
  context.progress(name)
  const file = await filledFile(newFile(context, 'start-own'))
  const plain = await filledFile(newFile(context, 'start-plain'))
  await (await openOwn(file, migrations)).store.close()
  const first = async (...args: string[]): Promise<number> => (await runNode(args)).firstOutputMs
  const found = await compare(
    {
      ours: () => first(childPath('first-own-row.mjs'), libraryPath, file, migrations),
      raw: () => first(childPath('first-row.mjs'), libraryPath, plain),
    },
    context.quick ? 10 : 40,
  )
  const more = found.ours.p50 - found.raw.p50
  return {
    name,
    unit: 'ms',
    ...found,
    targets: [atMost(START_MS, more, 'ms', `${START_MS} ms more than without`)],
  }
}

export const ownTables: Benchmark = {
  name: 'own-tables',
  run: async (context) => {
    const migrations = writeMigrations(join(context.folder, 'own-migrations'))
    return [
      ...(await onSqlite(context, migrations)),
      ...(await onPostgres(context, migrations)),
      await started(context, migrations),
    ]
  },
}
