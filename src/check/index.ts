/** Checks the database at a URL. */

import { StorageError } from '../errors.ts'
import { databaseOf } from '../open/config.ts'
import type { CheckReport } from './findings.ts'
import { type CheckOptions, settingsOf } from './options.ts'

export type { CheckName, CheckReport, Finding, NotChecked, Severity } from './findings.ts'
export type { CheckOptions } from './options.ts'

/**
 * Checks the database and changes nothing. You can check a database that is in use.
 *
 * @throws {StorageError} `CONFIG` if there is no database, `BUSY` or `UNAVAILABLE` if it could not be read
 */
export async function check(url: string, options: CheckOptions = {}): Promise<CheckReport> {
  const target = databaseOf(url)
  const settings = settingsOf(options)
  if (target.dialect === 'postgresql') return (await import('./postgres/index.ts')).checkPostgres(target, settings)
  if (target.path === ':memory:')
    throw new StorageError('CONFIG', 'A database in memory is gone with the process. Name a file.')
  return (await import('./sqlite/index.ts')).checkSqlite(target.path, settings)
}
