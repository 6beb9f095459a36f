/** Options and results of a backup and of a restore. */
import type { TableKey } from '../schema/tables.ts'

export interface BackupOptions {
  /** Called with the progress: pages of a SQLite file, or rows of PostgreSQL. */
  readonly onProgress?: ((progress: { copiedPages: number; totalPages: number }) => void) | undefined
  /** Stops the backup; nothing is left of it. */
  readonly signal?: AbortSignal | undefined
}

/** The content of a table: how many rows, and a hash over their content that is the same on every dialect. */
export interface TableContent {
  readonly rows: number
  readonly sha256: string
}

/** The application's own data: a table, or a column that was added to one of Meshstore's tables. */
export interface OtherData {
  readonly table: string
  readonly column?: string
  /** Number of rows of the table, or of rows with a value in the column. `undefined`: they could not be counted. */
  readonly rows: number | undefined
}

/** The content of a backup. The manifest file beside the backup says the same. */
export interface BackupManifest {
  /** Absolute path of the backup. */
  readonly file: string
  /** The moment that the backup shows. */
  readonly createdAt: Date
  /** Size of the file, in bytes. */
  readonly bytes: number
  /** Hash of the file. */
  readonly sha256: string
  /** The last migration that was applied. */
  readonly schemaVersion: string
  readonly tables: Readonly<Record<TableKey, TableContent>>
  /** The application's own tables, by name, if there are any. */
  readonly ownTables?: Readonly<Record<string, TableContent>>
  /** The application's own data on PostgreSQL that the backup leaves out, if there is any. `health()` reports it, too. */
  readonly leftBehind?: readonly OtherData[]
}

export interface RestoreOptions {
  /**
   * Replace the existing file: a copy of it is kept beside it. Refused (BUSY) while a process uses the file. On PostgreSQL nothing
   * is ever replaced (CONFIG).
   */
  readonly replace?: boolean | undefined
  /** Bring the schema up to date afterwards: `true` by default, and on PostgreSQL always. */
  readonly migrate?: boolean | undefined
  /** On PostgreSQL: restore without the application's own tables and columns. By default the restore is refused because of them. */
  readonly ignoreOtherTables?: boolean | undefined
  readonly onProgress?: BackupOptions['onProgress']
  readonly signal?: AbortSignal | undefined
}

export interface RestoreReport extends BackupManifest {
  /** The database that was written: a path, or a URL without user and password. */
  readonly restoredTo: string
  /** The copy of the file that was there before. */
  readonly safetyCopy?: string
  /** The migrations that were applied after it was restored. */
  readonly migrated: readonly string[]
}
