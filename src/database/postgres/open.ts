import type { Config } from '../../config.ts'
import { migratePostgres } from '../../migrator/postgres-migrator.ts'
import { PostgresDatabase } from './postgres-database.ts'
import type { PostgresTarget } from './url.ts'

/** Connects to a server and brings the database's schema up to date. */
export function openPostgres(target: PostgresTarget, config: Config): Promise<PostgresDatabase> {
  const { migrate, readOnly } = config
  const limits = { statementMs: target.statementMs, lockMs: Math.max(1, config.busyTimeoutMs) }
  return PostgresDatabase.open(target, { ...config, ...config.pool, ...limits }, async (pool) => {
    if (migrate !== 'skip') await migratePostgres(pool, { mode: readOnly ? 'check' : migrate })
  })
}
