/** Why a database does not ship to its place. */
import { StorageError } from '../errors.ts'
import type { Place } from './place.ts'

/** Another process ships the same database, or a copy of it: this one stands by. */
export class Outrun extends Error {
  override readonly name = 'Outrun'
}

export const fenced = ({ name }: Place, generation: number): StorageError =>
  new StorageError(
    'MOVED',
    `Another database was promoted and ships to ${name} since generation ${generation}. Nothing that is written here from then on is in a replica. Stop this database's writers, and use the other one.`,
  )

export const isFenced = (error: unknown): boolean => error instanceof StorageError && error.code === 'MOVED'

export const ofAnother = ({ name }: Place): StorageError =>
  new StorageError(
    'CONFIG',
    `${name} holds the replica of another database. Nothing was written there. Choose an empty place.`,
  )

export const ofCopy = ({ name }: Place): StorageError =>
  new StorageError(
    'CONFLICT',
    `A copy of this database ships to ${name}. Nothing that is written here is in the replica. Stop one of the two, or give one of them another place.`,
  )
