/** What is copied into: an empty database of ours, in one transaction. */
import { StorageError } from '../errors.ts'
import type { Plain } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'
import type { Snapshot } from './source.ts'

export interface Target {
  /** Sees what the transaction has written. */
  readonly snapshot: Snapshot
  /** Rows of a table, at most a slice of them. May resolve before they are there: `written` waits for all. */
  write(table: Table, rows: readonly (readonly Plain[])[]): Promise<void>
  written(): Promise<void>
}

export interface TargetOptions {
  /** How long to wait for others' locks, in milliseconds. */
  readonly busyTimeoutMs: number
}

/** Nothing is ever replaced. */
export const taken = (table: string): StorageError =>
  new StorageError(
    'CONFIG',
    `There are rows in ${table} of the target already, and nothing is ever replaced. Name an empty database.`,
  )
