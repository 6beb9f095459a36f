/** From one database to another: the copy, and the live move. */
import type { TableKey, TableName } from '../schema/tables.ts'
import type { OtherData, TableContent } from './backup.ts'

export interface CopyOptions {
  /** Look at everything, and change nothing. */
  readonly dryRun?: boolean | undefined
  /** Leave out the cached paths: they are computed anew. */
  readonly skipCache?: boolean | undefined
  /**
   * Where rows are written that cannot live in the target, as lines of JSON with every value; the copy then goes on without
   * them. A file that says the same already will do; no other one may be there.
   */
  readonly quarantine?: string | undefined
  /** Leave the application's own tables and columns behind. By default they are a reason to refuse (SCHEMA_MISMATCH). */
  readonly ignoreOtherTables?: boolean | undefined
  /** How long to wait for others' locks, in milliseconds: 5,000 by default. */
  readonly busyTimeoutMs?: number | undefined
  /** Rows: each is looked at, copied, and compared. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined
  /** Each row that cannot live in the target, before anything is changed. */
  readonly onRefused?: ((row: RefusedRow) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CopyProgress {
  readonly step: 'checking' | 'copying' | 'comparing'
  readonly done: number
  readonly total: number
}

/** A row that cannot live in the target as it is. */
export interface RefusedRow {
  readonly table: TableName
  /** As JSON, or words if it is no text. */
  readonly key: string
  /** The first that is wrong. */
  readonly column: string
  /** What is wrong with it; never its value. */
  readonly message: string
}

export interface CopiedTable {
  /** Rows that were, or with `dryRun` would be, copied. */
  readonly rows: number
  /** Rows that cannot live in the target. */
  readonly refused: number
  /** Over the content of those that were copied, the same in both databases; `undefined` with `dryRun`. */
  readonly sha256: string | undefined
}

export interface CopyReport {
  readonly from: 'sqlite' | 'postgresql'
  readonly to: 'sqlite' | 'postgresql'
  readonly dryRun: boolean
  /** The last migration, of both. */
  readonly schemaVersion: string
  /** A table that was left out is `undefined`. */
  readonly tables: Readonly<Record<TableKey, CopiedTable | undefined>>
  /** The file with the rows that were left out, if there were any. */
  readonly quarantine?: string
  /** The application's own tables and columns, if there are any: they were not copied. */
  readonly leftBehind?: readonly OtherData[]
  /** The migrations that were applied to the target. */
  readonly migrated: readonly string[]
}

export interface MoveOptions {
  /**
   * How long writes may be held up for the switch, in milliseconds: 250 by default. If that would not do, they go on, and it is tried
   * again.
   */
  readonly maxPauseMs?: number | undefined
  /** Leave the application's own tables and columns behind. By default they are a reason to refuse (SCHEMA_MISMATCH). */
  readonly ignoreOtherTables?: boolean | undefined
  readonly onProgress?: ((progress: MoveProgress) => void) | undefined
  /** Stops before the switch. What was copied stays: the next move to the same database goes on from there. */
  readonly signal?: AbortSignal | undefined
}

export interface MoveProgress {
  /** In this order; what is written meanwhile is followed, and the switch tried, until it is done. */
  readonly step: 'checking' | 'copying' | 'following' | 'verifying' | 'switching'
  /** Rows; when following, changes; when switching, attempts. */
  readonly done: number
  /** `undefined` where nobody knows. */
  readonly total: number | undefined
}

export interface MoveReport {
  /** In both databases. */
  readonly id: string
  /** Host, port and database. */
  readonly to: string
  /** What was compared in both, before the switch. */
  readonly tables: Readonly<Record<TableKey, TableContent>>
  /** The application's own tables and columns, if there are any: they were not moved. */
  readonly leftBehind?: readonly OtherData[]
  /** Changes that were made meanwhile, and taken along. */
  readonly followed: number
  /** How often the switch was tried. */
  readonly attempts: number
  /** How long writers were held up by the last, in milliseconds. */
  readonly pauseMs: number
  /** The migrations that were applied to the target. */
  readonly migrated: readonly string[]
}
