import type { ChangeLog, LogPage, LogPosition, Session } from '../database/session.ts'
import type { AppMigration } from '../migrator/app-ledger.ts'
import type { Table } from '../schema/tables.ts'
import type { Mark } from './standby.ts'

/** One committed state. */
export interface CommittedState {
  readonly schemaVersion: string
  /** The tables that are replicated, a parent before its children. Throws SCHEMA_MISMATCH for a bad description of an own table. */
  tables(): Promise<readonly Table[]>
  /** The application's migrations that were applied. */
  appMigrations(): Promise<readonly AppMigration[]>
  /** Changes after a position, up to this state. `undefined`: some of them are gone. */
  changes(from: LogPosition, limit: number): Promise<LogPage | undefined>
  /** The rows with these keys; each row has a cell for each column first. */
  rows(table: Table, keys: readonly string[]): Promise<readonly (readonly unknown[])[]>
  /** All rows by ascending key. */
  slices(table: Table): AsyncIterable<readonly (readonly unknown[])[]>
  /** Tables that are not described, and the application's columns in ours: a replica does not hold them. */
  leftBehind(): Promise<readonly string[]>
}

export interface Source {
  readonly session: Session
  readonly changeLog: ChangeLog
  /** Pins a state for `work`. `long`: it takes long, and so gets a connection of its own. */
  withState<T>(work: (state: CommittedState) => Promise<T>, options?: { readonly long?: boolean }): Promise<T>
  /** Makes the database a standby: nobody but a follower may write. */
  refuseWrites(mark: Mark, at: Date): Promise<void>
  /** The number of log entries after a position; `undefined` if there are entries, and they were not counted. */
  behind(at: LogPosition): Promise<number | undefined>
}
