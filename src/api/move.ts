/** Options and results of a copy to another database, and of the live move. */
import type { TableKey } from '../schema/tables.ts'
import type { OtherData, TableContent } from './backup.ts'

export interface CopyOptions {
  /** Check every row, and change nothing. */
  readonly dryRun?: boolean | undefined
  /** Leave out the cached paths: the application computes them anew. */
  readonly skipCache?: boolean | undefined
  /**
   * Dead-letter file for rows that the target cannot hold, as lines of JSON with every value. The copy then goes on without those
   * rows. The path must be free, or its file must have the same content already.
   */
  readonly quarantine?: string | undefined
  /** Leave the application's own tables and columns behind. By default the call is refused because of them (SCHEMA_MISMATCH). */
  readonly ignoreOtherTables?: boolean | undefined
  /** How long to wait for a lock of another process, in milliseconds: 5,000 by default. */
  readonly busyTimeoutMs?: number | undefined
  /** Called with the progress, in rows. */
  readonly onProgress?: ((progress: CopyProgress) => void) | undefined
  /** Called with each row that the target cannot hold, before anything is changed. */
  readonly onRefused?: ((row: RefusedRow) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CopyProgress {
  readonly step: 'checking' | 'copying' | 'comparing'
  readonly done: number
  readonly total: number
}

/** A row that the target cannot hold as it is. */
export interface RefusedRow {
  readonly table: string
  /** The row's key as JSON, or a description if the key is not a text. */
  readonly key: string
  /** The first column whose value is refused. */
  readonly column: string
  /** Why the value is refused; never the value itself. */
  readonly message: string
}

export interface CopiedTable {
  /** Number of rows that were copied, or would be with `dryRun`. */
  readonly rows: number
  /** Number of rows that the target cannot hold. */
  readonly refused: number
  /** Hash of the copied rows, the same in both databases; `undefined` with `dryRun`. */
  readonly sha256: string | undefined
}

export interface CopyReport {
  readonly from: 'sqlite' | 'postgresql'
  readonly to: 'sqlite' | 'postgresql'
  readonly dryRun: boolean
  /** The last migration of both databases. */
  readonly schemaVersion: string
  /** A table that was left out is `undefined`. */
  readonly tables: Readonly<Record<TableKey, CopiedTable | undefined>>
  /** The application's own tables, by name, if there are any. */
  readonly ownTables?: Readonly<Record<string, CopiedTable>>
  /** The dead-letter file, if rows were left out. */
  readonly quarantine?: string
  /** The application's own tables and columns, if there are any: they were not copied. */
  readonly leftBehind?: readonly OtherData[]
  /** The migrations that were applied to the target. */
  readonly migrated: readonly string[]
}

export interface MoveOptions {
  /**
   * Maximum pause of writes for the switch (cutover), in milliseconds: 250 by default. If the switch would take longer, writes go on,
   * and the move tries again.
   */
  readonly maxPauseMs?: number | undefined
  /** Leave the application's own tables and columns behind. By default the call is refused because of them (SCHEMA_MISMATCH). */
  readonly ignoreOtherTables?: boolean | undefined
  readonly onProgress?: ((progress: MoveProgress) => void) | undefined
  /** Stops the move before the switch. The copied rows stay: the next move to the same database continues from there. */
  readonly signal?: AbortSignal | undefined
}

export interface MoveProgress {
  /** The current step. After `'copying'`, the move repeats following the file's changes and trying the switch, until it succeeds. */
  readonly step: 'checking' | 'copying' | 'following' | 'verifying' | 'switching'
  /** Number of rows; of changes in `'following'`; of attempts in `'switching'`. */
  readonly done: number
  /** `undefined` if it is not known. */
  readonly total: number | undefined
}

export interface MoveReport {
  /** The move's id, which both databases record. */
  readonly id: string
  /** Host, port and database of the target. */
  readonly to: string
  /** The content that was compared in both databases before the switch. */
  readonly tables: Readonly<Record<TableKey, TableContent>>
  /** The application's own tables, by name, if there are any. */
  readonly ownTables?: Readonly<Record<string, TableContent>>
  /** The application's own tables and columns, if there are any: they were not moved. */
  readonly leftBehind?: readonly OtherData[]
  /** Number of changes that were made during the copy, and applied to the target. */
  readonly followed: number
  /** Number of attempts to switch. */
  readonly attempts: number
  /** How long the last attempt paused writes, in milliseconds. */
  readonly pauseMs: number
  /** The migrations that were applied to the target. */
  readonly migrated: readonly string[]
}
