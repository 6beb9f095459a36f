/** Each index of the tables is used by the methods that it is for. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { SqliteDatabase } from '../../src/database/sqlite/sqlite-database.ts'
import type { Repositories } from '../../src/index.ts'
import { configOf } from '../../src/open/config.ts'
import { openSqlite } from '../../src/open/sqlite.ts'
import { all } from '../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { type Ran, recordingRepositories } from './support/open.ts'

type Work = (repositories: Repositories) => Promise<unknown>

const START = new Date('2026-01-02T03:04:05.678Z')
const at = (seconds: number): Date => new Date(START.getTime() + 1_000 * seconds)

const BY_KEY = /SEARCH \w+ USING INDEX sqlite_autoindex_\w+_1 \(\w+=\?\)/
const IN_ORDER_OF_KEYS = /SCAN \w+ USING INDEX sqlite_autoindex_\w+_1/
const BEHIND_A_KEY = /SEARCH \w+ USING INDEX sqlite_autoindex_\w+_1 \(\w+>\?\)/
const BY_STARTED = /USING (COVERING )?INDEX idx_nodes_started \(started=\?\)/
const BY_EXPIRY = /USING (COVERING )?INDEX idx_cache_expires \(expires_at<\?\)/
const BY_ENDS = /USING (COVERING )?INDEX idx_cache_source_dest \(source=\? AND destination=\?\)/
const BY_SOURCE = /USING (COVERING )?INDEX idx_cache_source_dest \(source=\?\)/

const ENDS = { source: 'n-1', destination: 'n-2' }

/** What each method must do, with the index that is there for it. */
const PLANS: readonly (readonly [method: string, expected: RegExp, work: Work])[] = [
  ['nodes.get', BY_KEY, ({ nodes }) => nodes.get('n-1')],
  ['nodes.getMany', BY_KEY, ({ nodes }) => nodes.getMany(['n-1', 'n-2'])],
  ['nodes.update', BY_KEY, ({ nodes }) => nodes.update('n-1', { started: true })],
  ['nodes.recordRoutes', BY_KEY, ({ nodes }) => nodes.recordRoutes('n-1')],
  ['nodes.delete', BY_KEY, ({ nodes }) => nodes.delete('none')],
  ['nodes.list', IN_ORDER_OF_KEYS, ({ nodes }) => nodes.list()],
  ['nodes.list, after', BEHIND_A_KEY, ({ nodes }) => nodes.list({ after: 'n-1' })],
  ['nodes.list, started', BY_STARTED, ({ nodes }) => nodes.list({ started: true })],
  ['nodes.count, started', BY_STARTED, ({ nodes }) => nodes.count({ started: true })],
  ['policies.get', BY_KEY, ({ policies }) => policies.get('p-1')],
  ['policies.update', BY_KEY, ({ policies }) => policies.update('p-1', {})],
  ['policies.list, after', BEHIND_A_KEY, ({ policies }) => policies.list({ after: 'p-1' })],
  ['pathCache.get', BY_KEY, ({ pathCache }) => pathCache.get(pathKey('n-1', 'n-2'))],
  ['pathCache.getEntry', BY_KEY, ({ pathCache }) => pathCache.getEntry(pathKey('n-1', 'n-2'))],
  ['pathCache.delete', BY_KEY, ({ pathCache }) => pathCache.delete(pathKey('none', 'n-2'))],
  ['pathCache.deleteExpired', BY_EXPIRY, ({ pathCache }) => pathCache.deleteExpired({ now: at(-100) })],
  ['pathCache.list, source and destination', BY_ENDS, ({ pathCache }) => pathCache.list(ENDS)],
  ['pathCache.count, source and destination', BY_ENDS, ({ pathCache }) => pathCache.count(ENDS)],
  ['pathCache.iterate, source and destination', BY_ENDS, ({ pathCache }) => all(pathCache.iterate(ENDS))],
  [
    'pathCache.invalidate, source and destination',
    BY_ENDS,
    ({ pathCache }) => pathCache.invalidate({ ...ENDS, source: 'none' }),
  ],
  ['pathCache.invalidate, source', BY_SOURCE, ({ pathCache }) => pathCache.invalidate({ source: 'none' })],
  ['pathCache.list, source', BY_SOURCE, ({ pathCache }) => pathCache.list({ source: 'n-1' })],
]

/** Statistics change what SQLite chooses; `ANALYZE` may have been run on a file. */
describe.each(['without statistics', 'with statistics'])('%s', (statistics) => {
  let database: SqliteDatabase

  beforeAll(async () => {
    database = await openSqlite(':memory:', configOf('sqlite::memory:'))
    const { nodes, policies, pathCache } = recordingRepositories(database.session, [])
    await nodes.createMany(
      Array.from({ length: 2_000 }, (_, index) => node(`n-${index}`, { started: index % 10 === 0 })),
    )
    await policies.createMany(Array.from({ length: 200 }, (_, index) => policy(`p-${index}`)))
    await pathCache.setMany(
      Array.from({ length: 2_000 }, (_, index) => {
        const [source, destination] = [`n-${index % 50}`, `n-${index % 47}`]
        return { key: pathKey(source, destination), bundle: bundle(source, destination), ttlSeconds: 1 + index }
      }),
    )
    if (statistics === 'with statistics') await database.write(({ raw }) => void raw.exec('ANALYZE'))
    return () => database.close()
  })

  /** How SQLite goes about the statements that the work runs. */
  async function plansOf(work: Work): Promise<string[]> {
    const ran: Ran[] = []
    await work(recordingRepositories(database.session, ran))
    const plans: string[] = []
    for (const { statement, parameters } of ran) {
      const { sql, bind } = database.compiler.compile(statement)
      const values = bind(await parameters)
      const steps = await database.read(({ raw }) =>
        raw.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all(values),
      )
      plans.push(steps.map(({ detail }) => detail).join('\n'))
    }
    return plans
  }

  test.each(PLANS)('%s uses its index', async (_, expected, work) => {
    expect((await plansOf(work)).find((plan) => plan !== '')).toMatch(expected)
  })

  test('stats counts what has expired by its index', async () => {
    const plans = await plansOf(({ pathCache }) => pathCache.stats())
    expect(
      plans.some((plan) => BY_EXPIRY.test(plan)),
      plans.join('\n\n'),
    ).toBe(true)
  })
})
