/** A standby: a database that follows a place, and is read-only for everybody but its follower. */
import { StorageError } from '../errors.ts'
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

/** The standby's mark is not the one that was last seen: another process follows with it, or has promoted it. */
export class Overtaken extends StorageError {
  constructor(name: string) {
    super('BUSY', `Another process applies changes to ${name}. Nothing was applied here. Run the command again.`)
  }
}

/**
 * Each method is one transaction: a process that is killed has done all of it, or nothing. Methods that take the mark that was last
 * seen throw `Overtaken` if it is not the mark any more.
 */
export interface Standby {
  /** Without user and password. */
  readonly name: string
  mark(): Promise<Mark | undefined>
  /** Makes an empty database a standby. Throws CONFIG if it has rows. */
  begin(mark: Mark): Promise<void>
  /** The tables of the database, with the application's own. */
  tables(): Promise<DatabaseTables>
  /** Refuses writes to tables that have come since `begin()`. */
  guard(seen: Mark): Promise<void>
  apply<T>(seen: Mark, work: (transaction: StandbyTransaction) => Promise<T>): Promise<T>
  /** Lets everybody write. `lineage`: rows of meshstore_state to write in the same commit. */
  release(seen: Mark, lineage: { readonly name: string; readonly value: string }): Promise<void>
  close(): Promise<void>
}
