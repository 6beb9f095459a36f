/** A standby: a database that follows a place, and is read-only for everybody but its follower. */
import type { DatabaseTables } from '../rows/own-tables.ts'
import type { At } from './generation.ts'
import type { ReplicaTarget } from './target.ts'

/** The row of meshstore_state that makes a database a standby. */
export const STANDBY = 'replica_of'

/** How far a standby is. */
export interface Mark extends At {
  readonly place: string
  /** The moment that the standby shows. */
  readonly at: string
  /** A promotion was begun: the generation and the lineage that it begins. */
  readonly promotes?: { readonly generation: number; readonly lineage: string }
}

export interface StandbyTransaction {
  readonly target: ReplicaTarget
  note(mark: Mark): Promise<void>
}

/** Each method is one transaction: a process that is killed has done all of it, or nothing. */
export interface Standby {
  /** Without user and password. */
  readonly name: string
  mark(): Promise<Mark | undefined>
  /** Makes an empty database a standby. Throws CONFIG if it has rows. */
  begin(mark: Mark): Promise<void>
  /** The tables of the database, with the application's own. */
  tables(): Promise<DatabaseTables>
  /** Refuses writes to tables that have come since `begin()`. */
  guard(): Promise<void>
  apply<T>(work: (transaction: StandbyTransaction) => Promise<T>): Promise<T>
  /** Lets everybody write. `lineage`: rows of meshstore_state to write in the same commit. */
  release(lineage: { readonly name: string; readonly value: string }): Promise<void>
  close(): Promise<void>
}
