/** The one place that opens a database of a dialect. */

import type { Database } from '../database/session.ts'
import type { Config, Target } from './config.ts'

/** Whoever is to open it later, with callers waiting, has the driver loaded then. */
export function foresee({ dialect }: Target): void {
  if (dialect === 'postgresql') import('./postgres.ts').catch(() => {})
}

/** Loads the dialect's driver. */
export async function openTarget(target: Target, config: Config): Promise<Database> {
  if (target.dialect === 'postgresql') {
    const { openPostgres } = await import('./postgres.ts')
    return openPostgres(target, config)
  }
  const { openSqlite } = await import('./sqlite.ts')
  return openSqlite(target.path, config)
}
