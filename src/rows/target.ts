/** Target of a copy: an empty database with our schema, in one transaction. */
import { StorageError } from '../errors.ts'
import type { Plain } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'
import type { Snapshot } from './source.ts'

export interface Target {
  /** Reads inside the target's transaction. */
  readonly snapshot: Snapshot
  /** Writes at most a slice of a table's rows. May resolve before they are written: `written` waits for all. */
  write(table: Table, rows: readonly (readonly Plain[])[]): Promise<void>
  written(): Promise<void>
}

export interface TargetOptions {
  /** How long to wait for other programs' locks, in milliseconds. */
  readonly busyTimeoutMs: number
}

/**
 * Own tables may invalidate cached paths, which are copied too. This row of `meshstore_state` keeps their triggers from it
 * for the transaction. Both work on both dialects.
 */
export const KEEP_PATHS = `INSERT INTO meshstore_state (name, value, updated_at) VALUES ('path_cache_invalidation', 'manual', 0)
  ON CONFLICT (name) DO NOTHING RETURNING name`
export const END_KEEPING = "DELETE FROM meshstore_state WHERE name = 'path_cache_invalidation'"

/** Nothing is ever replaced. */
export const taken = (table: string): StorageError =>
  new StorageError(
    'CONFIG',
    `There are rows in ${table} of the target already. Nothing was changed. Name an empty database.`,
  )
