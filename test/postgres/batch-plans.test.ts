/** Batches find their rows by index, however many rows a table has: a scan of a table would be a conflict with everybody. */
import type pg from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { TOGETHER } from '../../src/database/postgres/attempts.ts'
import { bindBulk } from '../../src/database/postgres/bulk.ts'
import { postgresDialect } from '../../src/database/postgres/dialect.ts'
import { beginning, openPool } from '../../src/database/postgres/pool.ts'
import type { Session } from '../../src/database/session.ts'
import { StatementCompiler } from '../../src/database/statement.ts'
import { openStorage } from '../../src/index.ts'
import { configOf } from '../../src/open/config.ts'
import { type Ran, recordingRepositories } from '../database/support/open.ts'
import { FORM } from '../support/bounds.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { plansOf } from './support/explained.ts'
import { describePostgres } from './support/suite.ts'

const CALLS = 500
const OPTIONS = { max: 1, readOnly: false, durability: 'full', statementMs: 60_000, lockMs: 1_000 } as const

/** Changes nothing. */
const nothing = {
  inTransaction: false,
  refusal: () => undefined,
  read: async () => [],
  readOne: async () => undefined,
  write: async () => ({ rows: [], changes: 0 }),
} as unknown as Session

/** Every write of one row. */
async function writes(): Promise<Ran[]> {
  const ran: Ran[] = []
  const { nodes, policies, pathCache } = recordingRepositories(nothing, ran)
  await Promise.allSettled([
    nodes.create(node('n-1')),
    nodes.save(node('n-1', { started: true })),
    nodes.update('n-1', { protocols: ['olsr'] }),
    nodes.update('n-1', { started: true }, { ifUpdatedAt: new Date(0) }),
    nodes.recordRoutes('n-1'),
    nodes.delete('n-1'),
    policies.create(policy('n-1')),
    policies.save(policy('n-1')),
    policies.update('n-1', { yamlContent: 'a: 2' }),
    policies.delete('n-1'),
    pathCache.set(pathKey('n-1', 'z'), bundle('n-1', 'z')),
    pathCache.delete(pathKey('n-1', 'z')),
  ])
  return ran
}

const fill = (rows: number): string => `
  INSERT INTO nodes SELECT 'n-' || i, '["eth0"]', '["batman-adv"]', i % 100 = 0, 0, i, i FROM generate_series(1, ${rows}) i;
  INSERT INTO policies SELECT 'n-' || i, 'a: 1', 0, i, i FROM generate_series(1, ${rows}) i;
  INSERT INTO path_cache SELECT 'n-' || i, 'n-' || i % 500, 'n-' || i, 3, '{}', i, 4e9 + i FROM generate_series(1, ${rows}) i;
  ANALYZE`

describePostgres('the plans of batches', () => {
  describe.each(FORM === 'brief' ? [0, 100] : [0, 100, 1_000_000])('beside %i rows', (rows) => {
    let database: TestDatabase
    let client: pg.PoolClient
    beforeAll(async () => {
      database = await createDatabase()
      await (await openStorage(database.url)).close()
      // Triggers would mark and log each of a million rows.
      if (rows > 0)
        await database.query(`SET session_replication_role = replica; ${fill(rows)}; RESET session_replication_role`)
      const { target } = configOf(database.url)
      if (target.dialect !== 'postgresql') throw new Error('It is no URL of PostgreSQL.')
      const options = { ...OPTIONS, mode: 'session' } as const
      const pool = openPool(target, options)
      client = await pool.connect()
      await client.query(`${beginning({ ...options, lockTimeoutMs: 20 })}; ${TOGETHER}`)
      return async () => {
        client.release(true)
        await pool.end()
        await database[Symbol.asyncDispose]()
      }
    })

    test('no table is scanned', async () => {
      const compiler = new StatementCompiler(postgresDialect)
      const explained = new Set<string>()
      for (const { statement, parameters: given } of await writes()) {
        const parameters: object = await given
        const bulk = compiler.bulk(statement)
        const key = compiler.target(statement)?.key
        if (bulk === undefined || bulk.kind === 'reads one row' || key === undefined) continue
        const bounds = Array.from({ length: CALLS }, (_, at) =>
          compiler.bind(statement, { ...parameters, [key]: `n-${at * 7}` } as never),
        )
        const { compiled, values } = bindBulk(bulk, bounds)
        for (const text of await plansOf(client, compiled.sql, values)) {
          expect(text, `${compiled.name}\n${text}`).not.toMatch(/Seq Scan/)
          if (bulk.kind === 'changes one row') expect(text, compiled.name).toMatch(/Index (Only )?Scan/)
        }
        explained.add(compiled.name)
      }
      console.log(`${rows} rows: ${[...explained].join(', ')}`)
      expect(explained.size).toBeGreaterThanOrEqual(10)
    })
  })
})
