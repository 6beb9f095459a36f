/** What the command line does with the schema of the database at a URL. */
import { resolve } from 'node:path'
import { StorageError } from '../errors.ts'
import type { Status } from '../migrator/inspection.ts'
import { type Migration, migrationsOf } from '../migrator/migrations.ts'
import type { AdoptionReport, Applied, MigrationOptions } from '../migrator/steps.ts'
import { configOf, databaseOf } from './config.ts'
import { openTarget } from './open.ts'

export type { Difference } from '../migrator/drift.ts'
export type { State, Status } from '../migrator/inspection.ts'
export type { AdoptionReport, Applied, RowProblem, TableReport } from '../migrator/steps.ts'

const DEFAULT_WAIT_MS = 5_000

/** Throws CONFIG if there is no such file; BUSY, UNAVAILABLE and the like. Changes nothing. */
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

export interface UpOptions extends Pick<MigrationOptions, 'onApplied' | 'quarantine'> {
  /** How long to wait for another process's lock, in milliseconds. */
  readonly busyTimeoutMs?: number | undefined
  /** Where a SQLite file is copied to before it is changed: beside it, unless said. `false`: nowhere. */
  readonly backup?: string | false | undefined
  readonly onBackup?: ((progress: { copiedPages: number; totalPages: number }) => void) | undefined
}

export interface UpReport {
  readonly applied: readonly Applied[]
  readonly backup?: string
  readonly quarantine?: string
  readonly adoption?: AdoptionReport
}

/**
 * Brings a database up to date, as `openStorage` does with `migrate: 'apply'`, and closes it. Throws what that throws.
 *
 * With `quarantine`, an adoption leaves out the rows that cannot be kept, and writes them there.
 */
export async function up(url: string, options: UpOptions = {}): Promise<UpReport> {
  const target = databaseOf(url)
  if (target.dialect === 'sqlite') refuseMemory(target.path)
  const applied: Applied[] = []
  const done: { backup?: string; adoption?: AdoptionReport } = {}
  const config = configOf({ url, migrate: 'apply', busyTimeoutMs: options.busyTimeoutMs, pool: { max: 1 } })
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
        if (options.backup === false) return undefined
        const { copyBeforeMigration } = await import('../backup/before-migration.ts')
        const copy = await copyBeforeMigration(path, before, { target: options.backup, onProgress: options.onBackup })
        done.backup = copy.file
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

export interface BaselineReport extends UpReport {
  /** Migrations that were recorded without being run: the tables were as they make them. */
  readonly recorded: readonly string[]
  /** Left alone: the database had its ledger. */
  readonly pending: readonly string[]
}

/**
 * Takes over a database that has the tables and no ledger: adopts one that another program made, records one of ours that
 * lost its ledger. One that has a ledger is left as it is. Throws CONFIG where there is nothing to take over.
 */
export async function baseline(url: string, options: UpOptions = {}): Promise<BaselineReport> {
  const target = databaseOf(url)
  const status = await inspect(url, options.busyTimeoutMs)
  if (status.state === 'new')
    throw new StorageError(
      'CONFIG',
      'The database has no tables of ours: there is nothing to take over. Run meshstore migrate up.',
    )
  if (status.adoption !== undefined) return { recorded: [], pending: [], ...(await up(url, options)) }
  const { problem } = status
  if (problem !== undefined && status.unrecorded !== true) throw new StorageError(problem.code, problem.message)
  if (status.unrecorded !== true) {
    // An adoption that was killed after its first step is finished.
    if (status.adopted !== undefined) return { recorded: [], pending: [], ...(await up(url, options)) }
    return { recorded: [], applied: [], pending: status.pending }
  }
  const recorded =
    target.dialect === 'postgresql'
      ? await (await import('../migrator/postgres-inspection.ts')).baselinePostgres(
          target,
          options.busyTimeoutMs ?? DEFAULT_WAIT_MS,
        )
      : await (await import('../migrator/sqlite-inspection.ts')).baselineSqlite(
          target.path,
          options.busyTimeoutMs ?? DEFAULT_WAIT_MS,
        )
  return { recorded, applied: [], pending: [] }
}
