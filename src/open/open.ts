/** Opens databases. Only this file chooses a dialect. */

import type { Database } from '../database/session.ts'
import type { SqliteDatabase } from '../database/sqlite/sqlite-database.ts'
import type { Config, SqliteTarget, Target } from './config.ts'

/** Loads the driver early: callers wait when the target is opened later. */
export function preloadDriver({ dialect }: Target): void {
  if (dialect === 'postgresql') import('./postgres.ts').catch(() => {})
}

/** Loads the dialect's driver. */
export function openTarget(target: SqliteTarget, config: Config): Promise<SqliteDatabase>
export function openTarget(target: Target, config: Config): Promise<Database>
export async function openTarget(target: Target, config: Config): Promise<Database> {
  if (target.dialect === 'postgresql') {
    const { openPostgres } = await import('./postgres.ts')
    return openPostgres(target, config)
  }
  const { openSqlite } = await import('./sqlite.ts')
  return openSqlite(target.path, config)
}
