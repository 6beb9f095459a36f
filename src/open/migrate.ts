/** Migration commands for the database at a URL. */
import { resolve } from 'node:path'
import type { Copy } from '../backup/before-migration.ts'
import { StorageError } from '../errors.ts'
import { machineTime } from '../event-loop.ts'
import type { RecordedMigrations, Status } from '../migrator/inspection.ts'
import { type Migration, migrationsOf } from '../migrator/migrations.ts'
import type { RepairReport } from '../migrator/repair.ts'
import type { StatementLock } from '../migrator/statement-locks.ts'
import type { AdoptionReport, Applied, MigrationOptions } from '../migrator/steps.ts'
import { configOf, databaseOf } from './config.ts'
import { openTarget } from './open.ts'

export type { Difference } from '../migrator/drift.ts'
export type { State, Status } from '../migrator/inspection.ts'
export type { RepairReport } from '../migrator/repair.ts'
export type { StatementLock } from '../migrator/statement-locks.ts'
export type { AdoptionReport, Applied, RowProblem, TableReport } from '../migrator/steps.ts'

const DEFAULT_WAIT_MS = 5_000

/** Inspects the schema without changing it. Throws CONFIG if there is no such file, BUSY or UNAVAILABLE. */
export async function inspect(url: string, busyTimeoutMs = DEFAULT_WAIT_MS): Promise<Status> {
  const target = databaseOf(url)
  if (target.dialect === 'postgresql')
    return (await import('../migrator/postgres-inspection.ts')).inspectPostgres(target, busyTimeoutMs)
  refuseMemory(target.path)
  return (await import('../migrator/sqlite-inspection.ts')).inspectSqlite(target.path, busyTimeoutMs)
}

function refuseMemory(path: string): void {
  if (path === ':memory:')
    throw new StorageError('CONFIG', 'A database in memory is gone with the process. Name a file.')
}

/** The migrations with these tags, in order. */
export const migrationsNamed = (dialect: Status['dialect'], tags: readonly string[]): Migration[] =>
  migrationsOf(dialect).filter(({ tag }) => tags.includes(tag))

/** The locks of each statement of pending migrations, by tag. Empty for SQLite, where a migration locks the whole file. */
export async function locksOfPending(
  url: string,
  migrations: readonly Migration[],
  busyTimeoutMs = DEFAULT_WAIT_MS,
): Promise<ReadonlyMap<string, readonly (StatementLock | undefined)[]>> {
  const target = databaseOf(url)
  if (target.dialect !== 'postgresql' || migrations.length === 0) return new Map()
  const { locksOf, tableSizes } = await import('../migrator/statement-locks.ts')
  const { withPool } = await import('../migrator/postgres-pool.ts')
  const sizes = await withPool(target, busyTimeoutMs, tableSizes)
  const known = new Map(sizes)
  return new Map(migrations.map((migration) => [migration.file, locksOf(migration, known)]))
}

export interface UpOptions extends Pick<MigrationOptions, 'onApplied' | 'quarantine'> {
  /** How long to wait for another process's lock, in milliseconds. */
  readonly busyTimeoutMs?: number | undefined
  /** Path of the copy that is made before a SQLite file is changed. Default: beside the file. `false`: no copy. */
  readonly backup?: string | false | undefined
  readonly onBackup?: ((progress: { copiedPages: number; totalPages: number }) => void) | undefined
  /** The folder of the application's own migrations, which are applied after the library's. */
  readonly migrations?: string | undefined
}

export interface UpReport {
  readonly applied: readonly Applied[]
  readonly backup?: string
  readonly quarantine?: string
  readonly adoption?: AdoptionReport
}

/**
 * Brings a database up to date, as `openStorage` does with `migrate: 'apply'`, and closes it. Throws the same errors.
 *
 * With `quarantine`, an adoption writes the rows that it cannot keep to this dead-letter file, and leaves them out.
 */
export async function up(url: string, options: UpOptions = {}): Promise<UpReport> {
  const target = databaseOf(url)
  if (target.dialect === 'sqlite') refuseMemory(target.path)
  const applied: Applied[] = []
  const done: { backup?: string; adoption?: AdoptionReport } = {}
  const { busyTimeoutMs, migrations } = options
  const config = configOf({ url, migrate: 'apply', busyTimeoutMs, migrations, pool: { max: 1 } })
  const database = await openTarget(config.target, {
    ...config,
    migration: {
      quarantine: options.quarantine,
      onApplied: (each) => {
        applied.push(each)
        options.onApplied?.(each)
      },
      onAdopted: (report) => {
        done.adoption = report
      },
      backup: async (before, path) => {
        // The application's migrations follow the library's: the first copy has the file as it was.
        if (done.backup !== undefined) return undefined
        const copy = await copyFirst(options, before, path)
        if (copy !== undefined) done.backup = copy.file
        return copy
      },
    },
  })
  await database.close()
  const leftOut = done.adoption?.tables.some(({ refused }) => refused > 0) === true
  return {
    applied,
    ...done,
    ...(leftOut && options.quarantine !== undefined && { quarantine: resolve(options.quarantine) }),
  }
}

export interface AdoptReport extends UpReport, RecordedMigrations {
  /** Pending migrations of a database that has its ledger: they were not applied. */
  readonly pending: readonly string[]
}

/**
 * Takes over a database that has tables and no ledger: rebuilds another program's tables, or records the migrations that made
 * ours. A database with a ledger stays as it is. Throws CONFIG if there is nothing to take over.
 */
export async function adopt(url: string, options: UpOptions = {}): Promise<AdoptReport> {
  const target = databaseOf(url)
  const { busyTimeoutMs = DEFAULT_WAIT_MS } = options
  const nothing = { recorded: [], repaired: [], applied: [], pending: [] }
  const status = await inspect(url, options.busyTimeoutMs)
  if (status.state === 'new')
    throw new StorageError(
      'CONFIG',
      'The database has no tables of Meshstore. Nothing was changed. Run meshstore migrate up.',
    )
  if (status.adoption !== undefined) return { ...nothing, ...(await up(url, options)) }
  const { problem } = status
  if (problem !== undefined && status.unrecorded !== true) throw new StorageError(problem.code, problem.message)
  if (status.unrecorded !== true) {
    // Finish an adoption that was killed after its first step.
    if (status.adopted !== undefined) return { ...nothing, ...(await up(url, options)) }
    return { ...nothing, pending: status.pending }
  }
  const taken =
    target.dialect === 'postgresql'
      ? await (await import('../migrator/postgres-inspection.ts')).adoptPostgres(target, busyTimeoutMs)
      : await (await import('../migrator/sqlite-inspection.ts')).adoptSqlite(target.path, busyTimeoutMs)
  return { ...nothing, ...taken }
}

export interface RepairOptions extends Pick<UpOptions, 'busyTimeoutMs' | 'backup' | 'onBackup'> {
  /** Reports what a repair would recreate, and changes nothing. */
  readonly dryRun?: boolean | undefined
}

/**
 * Recreates triggers, indexes, keys and CHECKs that the tables have lost. If triggers were missing, cached paths are invalidated,
 * and subscribers get CHANGES_MISSED: nothing followed the writes meanwhile.
 *
 * Throws SCHEMA_MISMATCH, and changes nothing, if a table is gone or if rows violate a key or CHECK.
 */
export async function repair(url: string, options: RepairOptions = {}): Promise<RepairReport> {
  const target = databaseOf(url)
  const { busyTimeoutMs = DEFAULT_WAIT_MS, dryRun = false } = options
  const how = { busyTimeoutMs, dryRun, now: machineTime() }
  if (target.dialect === 'postgresql')
    return (await import('../migrator/postgres-repair.ts')).repairPostgres(target, how)
  refuseMemory(target.path)
  const { repairSqlite } = await import('../migrator/sqlite-repair.ts')
  return repairSqlite(target.path, how, (before, path) => copyFirst(options, before, path))
}

async function copyFirst(
  { backup, onBackup }: Pick<UpOptions, 'backup' | 'onBackup'>,
  before: string,
  path: string,
): Promise<Copy | undefined> {
  if (backup === false) return undefined
  const { copyBeforeMigration } = await import('../backup/before-migration.ts')
  return copyBeforeMigration(path, before, { target: backup, onProgress: onBackup })
}
