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
const IN_ORDER_OF_KEYS = /SCAN \w+ USING (COVERING )?INDEX sqlite_autoindex_\w+_1/
const BEHIND_A_KEY = /SEARCH \w+ USING (COVERING )?INDEX sqlite_autoindex_\w+_1 \(\w+>\?\)/
const BY_STARTED = /USING (COVERING )?INDEX idx_nodes_started \(started=\?\)/
const STARTED_BEHIND_A_KEY = /USING INDEX idx_nodes_started \(started=\? AND node_id>\?\)/
const BY_UPDATED = /SCAN \w+ USING (COVERING )?INDEX idx_\w+_updated/
const BEHIND_A_TIME =
  /SEARCH \w+ USING (COVERING )?INDEX idx_\w+_updated \(\(updated_at,\w+\)[<>]\(\?,\?\)\)|SEARCH \w+ USING (COVERING )?INDEX idx_\w+_updated \(updated_at/
const STARTED_WITH_PREFIX = /USING (COVERING )?INDEX idx_nodes_started \(started=\? AND node_id>\? AND node_id<\?\)/
const BETWEEN_KEYS = /SEARCH \w+ USING (COVERING )?INDEX sqlite_autoindex_\w+_1 \(\w+>\? AND \w+<\?\)/
const BY_EXPIRY = /USING (COVERING )?INDEX idx_cache_expires \(expires_at<\?\)/
const BY_ENDS = /USING (COVERING )?INDEX idx_cache_source_dest \(source=\? AND destination=\?\)/
const BY_SOURCE = /USING (COVERING )?INDEX idx_cache_source_dest \(source=\?\)/

const SEEN = { nodeId: 'n-1', updatedAt: START }
const NEWEST = { orderBy: 'updatedAt', descending: true } as const
const ENDS = { source: 'n-1', destination: 'n-2' }

/** The plan that each method must have, with the index made for it. */
const PLANS: readonly (readonly [method: string, expected: RegExp, work: Work])[] = [
  ['nodes.get', BY_KEY, ({ nodes }) => nodes.get('n-1')],
  ['nodes.getMany', BY_KEY, ({ nodes }) => nodes.getMany(['n-1', 'n-2'])],
  ['nodes.update', BY_KEY, ({ nodes }) => nodes.update('n-1', { started: true })],
  ['nodes.recordRoutes', BY_KEY, ({ nodes }) => nodes.recordRoutes('n-1')],
  ['nodes.delete', BY_KEY, ({ nodes }) => nodes.delete('none')],
  ['nodes.list', IN_ORDER_OF_KEYS, ({ nodes }) => nodes.list()],
  ['nodes.list, after', BEHIND_A_KEY, ({ nodes }) => nodes.list({ after: 'n-1' })],
  ['nodes.list, started', BY_STARTED, ({ nodes }) => nodes.list({ started: true })],
  ['nodes.list, started, after', STARTED_BEHIND_A_KEY, ({ nodes }) => nodes.list({ started: true, after: 'n-1' })],
  ['nodes.list, protocol', IN_ORDER_OF_KEYS, ({ nodes }) => nodes.list({ protocol: 'olsr' })],
  ['nodes.list, interface, after', BEHIND_A_KEY, ({ nodes }) => nodes.list({ interface: 'eth1', after: 'n-1' })],
  ['nodes.list, started, protocol', BY_STARTED, ({ nodes }) => nodes.list({ started: true, protocol: 'olsr' })],
  ['nodes.list, prefix', BETWEEN_KEYS, ({ nodes }) => nodes.list({ prefix: 'n-1' })],
  ['nodes.list, prefix, after', BETWEEN_KEYS, ({ nodes }) => nodes.list({ prefix: 'n-1', after: 'n-10' })],
  ['nodes.list, prefix, started', STARTED_WITH_PREFIX, ({ nodes }) => nodes.list({ prefix: 'n-1', started: true })],
  ['nodes.count, prefix', BETWEEN_KEYS, ({ nodes }) => nodes.count({ prefix: 'n-1' })],
  ['nodes.list, updatedAt', BY_UPDATED, ({ nodes }) => nodes.list({ orderBy: 'updatedAt' })],
  ['nodes.list, updatedAt, descending', BY_UPDATED, ({ nodes }) => nodes.list({ ...NEWEST })],
  ['nodes.list, updatedAt, after', BEHIND_A_TIME, ({ nodes }) => nodes.list({ orderBy: 'updatedAt', after: SEEN })],
  ['nodes.list, newest, after', BEHIND_A_TIME, ({ nodes }) => nodes.list({ ...NEWEST, after: SEEN })],
  ['nodes.list, newest, started', BY_UPDATED, ({ nodes }) => nodes.list({ ...NEWEST, started: true, prefix: 'n' })],
  ['nodes.list, newest, protocol', BY_UPDATED, ({ nodes }) => nodes.list({ ...NEWEST, protocol: 'batman-adv' })],
  ['policies.list, updatedAt', BY_UPDATED, ({ policies }) => policies.list({ orderBy: 'updatedAt' })],
  ['policies.list, newest, prefix', BY_UPDATED, ({ policies }) => policies.list({ ...NEWEST, prefix: 'p' })],
  ['policies.list, prefix', BETWEEN_KEYS, ({ policies }) => policies.list({ prefix: 'p-1' })],
  ['policies.deleteMany', BETWEEN_KEYS, ({ policies }) => policies.deleteMany({ prefix: 'none' })],
  ['nodes.count, started', BY_STARTED, ({ nodes }) => nodes.count({ started: true })],
  ['policies.get', BY_KEY, ({ policies }) => policies.get('p-1')],
  ['policies.update', BY_KEY, ({ policies }) => policies.update('p-1', {})],
  ['policies.list, after', BEHIND_A_KEY, ({ policies }) => policies.list({ after: 'p-1' })],
  ['pathCache.get', BY_KEY, ({ pathCache }) => pathCache.get(pathKey('n-1', 'n-2'))],
  ['pathCache.getEntry', BY_KEY, ({ pathCache }) => pathCache.getEntry(pathKey('n-1', 'n-2'))],
  ['pathCache.delete', BY_KEY, ({ pathCache }) => pathCache.delete(pathKey('none', 'n-2'))],
  ['pathCache.deleteExpired', BY_EXPIRY, ({ pathCache }) => pathCache.deleteExpired({ now: at(-100) })],
  ['pathCache.list', IN_ORDER_OF_KEYS, ({ pathCache }) => pathCache.list()],
  ['pathCache.list, after', BEHIND_A_KEY, ({ pathCache }) => pathCache.list({ after: 'n-1' })],
  ['pathCache.list, destination', IN_ORDER_OF_KEYS, ({ pathCache }) => pathCache.list({ destination: 'n-2' })],
  ['pathCache.list, source and destination', BETWEEN_KEYS, ({ pathCache }) => pathCache.list(ENDS)],
  [
    'pathCache.list, source, after',
    BETWEEN_KEYS,
    ({ pathCache }) => pathCache.list({ source: 'n-1', after: 'n-1:n-2:3' }),
  ],
  ['pathCache.count, source and destination', BY_ENDS, ({ pathCache }) => pathCache.count(ENDS)],
  ['pathCache.iterate, source and destination', BETWEEN_KEYS, ({ pathCache }) => all(pathCache.iterate(ENDS))],
  [
    'pathCache.invalidate, source and destination',
    BY_ENDS,
    ({ pathCache }) => pathCache.invalidate({ ...ENDS, source: 'none' }),
  ],
  ['pathCache.invalidate, source', BY_SOURCE, ({ pathCache }) => pathCache.invalidate({ source: 'none' })],
  ['pathCache.list, source', BETWEEN_KEYS, ({ pathCache }) => pathCache.list({ source: 'n-1' })],
]

/** Whatever a page is of, it comes in the order of an index. */
const IN_ORDER: readonly (readonly [method: string, work: Work])[] = [
  ...PLANS.filter(([method]) => /\.(list|iterate)/.test(method)).map(([method, , work]) => [method, work] as const),
  ['nodes.iterate, started', ({ nodes }) => all(nodes.iterate({ started: true }))],
  ['nodes.iterate, updatedAt', ({ nodes }) => all(nodes.iterate({ orderBy: 'updatedAt' }))],
  ['nodes.iterate, newest, prefix', ({ nodes }) => all(nodes.iterate({ ...NEWEST, prefix: 'n-1', started: false }))],
  ['policies.iterate, newest', ({ policies }) => all(policies.iterate({ ...NEWEST, prefix: 'p-1' }))],
  ['nodes.iterate, protocol', ({ nodes }) => all(nodes.iterate({ protocol: 'batman-adv' }))],
  ['policies.iterate', ({ policies }) => all(policies.iterate())],
  ['pathCache.iterate, source', ({ pathCache }) => all(pathCache.iterate({ source: 'n-1' }))],
  ['pathCache.iterate, destination', ({ pathCache }) => all(pathCache.iterate({ destination: 'n-1' }))],
]

/** Statistics change what SQLite chooses; `ANALYZE` may have been run on a file. Without them it counts on a million rows. */
describe.each([
  ['without statistics', 2_000],
  ['with statistics', 2_000],
  ['with statistics of ten rows', 10],
  ['with statistics of a million rows', 10],
])('%s', (statistics, rows) => {
  let database: SqliteDatabase

  beforeAll(async () => {
    database = await openSqlite(':memory:', configOf('sqlite::memory:'))
    const { nodes, policies, pathCache } = recordingRepositories(database, [])
    await nodes.createMany(
      Array.from({ length: rows }, (_, index) => node(`n-${index}`, { started: index % 10 === 0 })),
    )
    await policies.createMany(Array.from({ length: 200 }, (_, index) => policy(`p-${index}`)))
    await pathCache.setMany(
      Array.from({ length: rows }, (_, index) => {
        const [source, destination] = [`n-${index % 50}`, `n-${index % 47}`]
        return { key: pathKey(source, destination), bundle: bundle(source, destination), ttlSeconds: 1 + index }
      }),
    )
    if (statistics !== 'without statistics') await database.onWriter(({ raw }) => void raw.exec('ANALYZE'))
    if (statistics === 'with statistics of a million rows') {
      await database.onWriter(({ raw }) => {
        const set = raw.prepare('UPDATE sqlite_stat1 SET stat = ? WHERE idx = ?')
        set.run('1000000 100000 1', 'idx_nodes_started')
        // All nodes were changed at one time.
        set.run('1000000 1000000 1', 'idx_nodes_updated')
        set.run('1000000 1 1', 'idx_policies_updated')
        set.run('1000000 1000 20', 'idx_cache_source_dest')
        set.run('1000000 20', 'idx_cache_expires')
        for (const table of ['nodes', 'policies', 'path_cache']) set.run('1000000 1', `sqlite_autoindex_${table}_1`)
        raw.exec('ANALYZE sqlite_schema')
      })
    }
    return () => database.close()
  })

  /** How SQLite goes about the statements that the work runs. */
  async function plansOf(work: Work): Promise<string[]> {
    const ran: Ran[] = []
    await work(recordingRepositories(database, ran))
    const plans: string[] = []
    for (const { statement, parameters } of ran) {
      const { sql, bind } = database.compiler.compile(statement)
      const values = bind(await parameters)
      const steps = await database.onReader(({ raw }) =>
        raw.prepare<unknown[], { detail: string }>(`EXPLAIN QUERY PLAN ${sql}`).all(values),
      )
      plans.push(steps.map(({ detail }) => detail).join('\n'))
    }
    return plans
  }

  // SQLite may as well read all of ten rows.
  const plans =
    statistics === 'with statistics of ten rows' ? PLANS.filter(([name]) => name !== 'nodes.getMany') : PLANS
  test.each(plans)('%s uses its index', async (_, expected, work) => {
    expect((await plansOf(work)).find((plan) => plan !== '')).toMatch(expected)
  })

  test.each(IN_ORDER)('%s does not sort', async (_, work) => {
    const plans = await plansOf(work)
    expect(plans.length).toBeGreaterThan(0)
    expect(plans.filter((plan) => plan.includes('TEMP B-TREE'))).toEqual([])
  })

  test('stats counts what has expired by its index', async () => {
    const plans = await plansOf(({ pathCache }) => pathCache.stats())
    expect(
      plans.some((plan) => BY_EXPIRY.test(plan)),
      plans.join('\n\n'),
    ).toBe(true)
  })
})
