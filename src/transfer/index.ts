/** Export and import of the database at a URL. */
import { existsSync } from 'node:fs'
import type { Database } from '../database/session.ts'
import { StorageError } from '../errors.ts'
import { configOf, databaseOf } from '../open/config.ts'
import { inspect } from '../open/migrate.ts'
import { openTarget } from '../open/open.ts'
import type { Snapshot, SourceOptions } from '../rows/source.ts'
import { type ExportOptions, type ExportReport, exportSnapshot } from './export.ts'
import type { ImportOptions, ImportReport, Open } from './import.ts'
import type { Output } from './output.ts'
import { tablesAt } from './tables.ts'

export { TABLE_NAMES, type TableName } from '../schema/tables.ts'
export type { ExportReport, InvalidRow } from './export.ts'
export type { ImportReport } from './import.ts'
export { fileOutput, type Output, streamOutput } from './output.ts'
export type { OnConflict, Refusal } from './staging.ts'

/** Exports a consistent snapshot. Throws CONFIG if there is no database, BUSY or UNAVAILABLE. */
export async function exportTo(
  url: string,
  output: Output,
  options: ExportOptions & SourceOptions,
): Promise<ExportReport> {
  const { busyTimeoutMs } = options
  try {
    return await withSnapshot(url, { busyTimeoutMs }, (snapshot) => exportSnapshot(snapshot, output, options))
  } catch (error) {
    await output.discard()
    throw error
  }
}

/** Runs `work` on a consistent snapshot of the database at a URL. */
export async function withSnapshot<T>(
  url: string,
  options: SourceOptions,
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const target = databaseOf(url)
  if (target.dialect === 'postgresql') {
    const { withPostgresSnapshot } = await import('../rows/postgres-source.ts')
    return withPostgresSnapshot(target, options, work)
  }
  refuseMemory(target.path)
  const { withSqliteSnapshot } = await import('../open/sqlite-snapshot.ts')
  return withSqliteSnapshot(target.path, options, work)
}

function refuseMemory(path: string): void {
  if (path === ':memory:')
    throw new StorageError('CONFIG', 'A database in memory is gone with the process. Name a file.')
}

/**
 * Imports an export, or a NetJSON NetworkGraph. Unless this is a dry run, it creates a missing SQLite file, and brings the schema
 * up to date.
 */
export async function importInto(
  url: string,
  file: AsyncIterable<Buffer>,
  options: ImportOptions,
): Promise<ImportReport> {
  const target = databaseOf(url)
  if (target.dialect === 'sqlite') refuseMemory(target.path)
  const { busyTimeoutMs } = options
  const open: Open = async ({ readOnly }) => {
    if (!readOnly) return opened(url, { busyTimeoutMs, readOnly, migrate: 'apply' })
    if (target.dialect === 'sqlite' && !existsSync(target.path)) return undefined
    return opened(url, { busyTimeoutMs, readOnly, migrate: 'check' }).catch(noneIfNew(url))
  }
  // The staging area needs the driver of SQLite, also for an import into PostgreSQL.
  const { importFrom } = await import('./import.ts')
  const { tables } = await tablesAt(url, busyTimeoutMs)
  return importFrom(file, open, { ...options, tables })
}

function opened(
  url: string,
  options: SourceOptions & { readOnly: boolean; migrate: 'apply' | 'check' },
): Promise<Database> {
  const config = configOf({ url, ...options, pool: { max: 1 } })
  return openTarget(config.target, config)
}

/** Treats a database without our tables as an empty one. */
const noneIfNew =
  (url: string) =>
  async (error: unknown): Promise<undefined> => {
    if (!(error instanceof StorageError) || error.code !== 'SCHEMA_MISMATCH') throw error
    if ((await inspect(url)).state !== 'new') throw error
  }
