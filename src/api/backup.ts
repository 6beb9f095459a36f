/** Backups, and how they are restored. */
import type { TableKey } from '../schema/tables.ts'

export interface BackupOptions {
  /** Pages of a SQLite file; of PostgreSQL, rows. */
  readonly onProgress?: ((progress: { copiedPages: number; totalPages: number }) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** What a table holds: how many rows, and a hash over their content that is the same on every dialect. */
export interface TableContent {
  readonly rows: number
  readonly sha256: string
}

/** Data of the application's own: a table, or a column that was added to one of Meshstore's. */
export interface OtherData {
  readonly table: string
  readonly column?: string
  /** Rows of the table, or with a value in the column. `undefined`: they could not be counted. */
  readonly rows: number | undefined
}

/** What is in a backup, as the manifest beside it says too. */
export interface BackupManifest {
  /** The whole path. */
  readonly file: string
  /** The moment that the backup shows. */
  readonly createdAt: Date
  readonly bytes: number
  /** Of the file. */
  readonly sha256: string
  /** The last migration that was applied. */
  readonly schemaVersion: string
  readonly tables: Readonly<Record<TableKey, TableContent>>
  /** Of PostgreSQL: what the backup is without, if there is anything. `health()` tells of it, too. */
  readonly leftBehind?: readonly OtherData[]
}

export interface RestoreOptions {
  /**
   * Replace the file that is there: a copy of it is kept beside it. Refused (BUSY) while somebody uses it. On PostgreSQL nothing
   * is ever replaced (CONFIG).
   */
  readonly replace?: boolean | undefined
  /** Bring the schema up to date afterwards: `true` by default, and on PostgreSQL always. */
  readonly migrate?: boolean | undefined
  /** On PostgreSQL: restore without the application's own tables and columns. By default they are a reason to refuse. */
  readonly ignoreOtherTables?: boolean | undefined
  readonly onProgress?: BackupOptions['onProgress']
  readonly signal?: AbortSignal | undefined
}

export interface RestoreReport extends BackupManifest {
  /** The database that was written; of a server's, without user and password. */
  readonly restoredTo: string
  /** The copy of what was there before. */
  readonly safetyCopy?: string
  /** The migrations that were applied after it was restored. */
  readonly migrated: readonly string[]
}
