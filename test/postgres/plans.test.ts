/** A page comes in the order of an index, however many rows there are: a sort of all matches would make iterating quadratic. */
import type pg from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { postgresDialect } from '../../src/database/postgres/dialect.ts'
import { beginning, openPool } from '../../src/database/postgres/pool.ts'
import type { Session } from '../../src/database/session.ts'
import { StatementCompiler } from '../../src/database/statement.ts'
import { openStorage, type Repositories } from '../../src/index.ts'
import { configOf } from '../../src/open/config.ts'
import { type Ran, recordingRepositories } from '../database/support/open.ts'
import { all } from '../support/expectations.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { plansOf } from './support/explained.ts'
import { describePostgres } from './support/suite.ts'

const SEEN = { nodeId: 'n-1', updatedAt: new Date(5_000) }
const PAGES: Readonly<Record<string, (repositories: Repositories) => Promise<unknown>>> = {
  'nodes.list': ({ nodes }) => nodes.list({ after: 'n-1' }),
  'nodes.list, started': ({ nodes }) => nodes.list({ started: true }),
  'nodes.list, started, after': ({ nodes }) => nodes.list({ started: true, after: 'n-1' }),
  'nodes.iterate, protocol': ({ nodes }) => all(nodes.iterate({ protocol: 'olsr' })),
  'nodes.list, interface, after': ({ nodes }) => nodes.list({ interface: 'eth0', after: 'n-1' }),
  'nodes.list, started, protocol': ({ nodes }) => nodes.list({ started: false, protocol: 'olsr' }),
  'nodes.list, prefix': ({ nodes }) => nodes.list({ prefix: 'n-1', started: true }),
  'nodes.list, updatedAt': ({ nodes }) => nodes.list({ orderBy: 'updatedAt' }),
  'nodes.list, updatedAt, after': ({ nodes }) => nodes.list({ orderBy: 'updatedAt', after: SEEN }),
  'nodes.list, newest, after': ({ nodes }) => nodes.list({ orderBy: 'updatedAt', descending: true, after: SEEN }),
  'nodes.iterate, newest, prefix': ({ nodes }) =>
    all(nodes.iterate({ orderBy: 'updatedAt', descending: true, prefix: 'n-1', started: true })),
  'policies.list, newest': ({ policies }) => policies.list({ orderBy: 'updatedAt', descending: true, prefix: 'p' }),
  'policies.list': ({ policies }) => policies.list({ after: 'p' }),
  'pathCache.list': ({ pathCache }) => pathCache.list(),
  'pathCache.list, source': ({ pathCache }) => pathCache.list({ source: 'n-1', after: 'n-1:n-2:3' }),
  'pathCache.list, destination': ({ pathCache }) => pathCache.list({ destination: 'n-1' }),
  'pathCache.list, both': ({ pathCache }) => pathCache.list({ source: 'n-1', destination: 'n-2' }),
}

const fill = (rows: number): string => `
  INSERT INTO nodes SELECT 'n-' || i, '["eth0"]', '["batman-adv"]', i % 100 = 0, 0, i, i FROM generate_series(1, ${rows}) i;
  INSERT INTO policies SELECT 'p-' || i, 'a: 1', 0, i, i FROM generate_series(1, ${rows}) i;
  INSERT INTO path_cache SELECT format('n-%s:n-%s:3', i % 500, i), 'n-' || i % 500, 'n-' || i, 3, '{}', i, 4e9 + i
    FROM generate_series(1, ${rows}) i;
  ANALYZE`

/** Says that it found nothing. */
const nothing = {
  inTransaction: false,
  refusal: () => undefined,
  read: async () => [],
  readOne: async () => undefined,
} as unknown as Session

const OPTIONS = { max: 1, readOnly: false, durability: 'full', statementMs: 60_000, lockMs: 1_000 } as const

describePostgres('the plans of pages', () => {
  describe.each([
    [10, 'session'],
    [100_000, 'session'],
    [100_000, 'transaction'],
  ] as const)('of %i rows, in a pool for a %s', (rows, mode) => {
    let database: TestDatabase
    let client: pg.PoolClient
    beforeAll(async () => {
      database = await createDatabase()
      await (await openStorage(database.url)).close()
      const { target } = configOf(database.url)
      if (target.dialect !== 'postgresql') throw new Error('It is no URL of PostgreSQL.')
      const options = { ...OPTIONS, mode }
      const pool = openPool(target, options)
      client = await pool.connect()
      await client.query(fill(rows))
      await client.query(beginning({ ...options, lockTimeoutMs: undefined }))
      return async () => {
        client.release()
        await pool.end()
        await database[Symbol.asyncDispose]()
      }
    })

    test.each(Object.entries(PAGES))('%s is not sorted', async (_, work) => {
      const ran: Ran[] = []
      await work(recordingRepositories(nothing, ran))
      expect(ran).toHaveLength(1)
      for (const { statement, parameters } of ran) {
        const { sql, bind } = new StatementCompiler(postgresDialect).compile(statement)
        for (const text of await plansOf(client, sql, bind(parameters))) {
          expect(text).toContain('Index Scan')
          expect(text).not.toContain('Sort')
        }
      }
    })
  })
})
