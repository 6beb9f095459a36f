/** Opens databases. Only this file chooses a dialect. */

import type { Database } from '../database/session.ts'
import type { Config, Target } from './config.ts'

/** Loads the driver early: callers wait when the target is opened later. */
export function preloadDriver({ dialect }: Target): void {
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
