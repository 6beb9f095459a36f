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

/** Nothing is ever replaced. */
export const taken = (table: string): StorageError =>
  new StorageError(
    'CONFIG',
    `There are rows in ${table} of the target already. Nothing was changed. Name an empty database.`,
  )
