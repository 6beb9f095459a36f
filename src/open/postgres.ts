import { FAILOVER_MS } from '../database/postgres/failover.ts'
import { openPool, type PoolOptions } from '../database/postgres/pool.ts'
import { PostgresDatabase } from '../database/postgres/postgres-database.ts'
import { beginAnewOnAnotherServer } from '../database/postgres/server-identity.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import { checkPostgres, migratePostgres, problemOf, schemaVersionOf } from '../migrator/postgres-migrator.ts'
import { topologyOf } from '../tables/described.ts'
import type { Config } from './config.ts'

/** Time limit of a migration's statement: a migration may rewrite a large table. */
const DAY_MS = 86_400_000

/** Connects to a server and brings the database's schema up to date. */
export async function openPostgres(target: PostgresTarget, config: Config): Promise<PostgresDatabase> {
  const limits = { statementMs: target.statementMs, lockMs: Math.max(1, config.busyTimeoutMs) }
  const { max, mode = target.poolMode } = config.pool
  const topology = config.own && topologyOf(config.own.byName)
  const isCluster = target.hosts.length > 1
  const outcomeTokens = config.outcomeTokens ?? (isCluster && config.failoverMs !== 0)
  const failoverMs = config.failoverMs ?? (isCluster || outcomeTokens ? FAILOVER_MS : 0)
  const options = { ...config, max, mode, ...limits, topology, outcomeTokens, failoverMs }
  const migrate = config.readOnly && config.migrate === 'apply' ? 'check' : config.migrate
  const database = await PostgresDatabase.open(target, options, {
    prepare: async (pool) => {
      if (migrate === 'skip') return
      if (await checkPostgres(pool, migrate)) {
        if (config.own === undefined || (await (await own()).checkOwnPostgres(pool, config.own, migrate))) return
      }
      await migrateOnOwnPool(target, options, config)
    },
    version: schemaVersionOf,
    problem: async (pool) => {
      const problem = await problemOf(pool)
      if (problem === undefined && config.own !== undefined) await (await own()).assertSettled(pool, config.own)
      return problem
    },
  })
  if (config.readOnly || migrate === 'skip') return database
  try {
    await beginAnewOnAnotherServer(database)
    return database
  } catch (error) {
    await database.close()
    throw error
  }
}

/** Loaded for applications with tables of their own. */
const own = () => import('../migrator/own-postgres.ts')

async function migrateOnOwnPool(
  target: PostgresTarget,
  options: PoolOptions,
  { now, migration, migrationWaitMs, own: setup }: Config,
): Promise<void> {
  const pool = openPool(target, {
    ...options,
    max: 1,
    statementMs: DAY_MS,
    lockMs: Math.max(1, migrationWaitMs),
  })
  try {
    await migratePostgres(pool, { now, ...migration })
    if (setup !== undefined) await (await own()).migrateOwnPostgres(pool, setup, { now, ...migration })
  } finally {
    await pool.end()
  }
}
