/** The place of a replica: a folder or a bucket of objects that are created once and never replaced. */
import { StorageError } from '../errors.ts'

export interface Place {
  /** For messages: without credentials. */
  readonly name: string
  /** Makes the place usable, and refuses one that cannot create objects conditionally. Throws CONFIG. */
  prepare(): Promise<void>
  /** Creates an object. `false` if the name is taken. The object is durable when this resolves. */
  create(name: string, bytes: Uint8Array): Promise<boolean>
  get(name: string): Promise<Buffer | undefined>
  /** Names of the objects in a folder of the place, sorted, after `after`. */
  list(folder: string, after?: string): Promise<string[]>
  /** The folders of the place, sorted. */
  folders(): Promise<string[]>
  remove(name: string): Promise<void>
  /** Removes what killed processes left unfinished in a folder of the place. */
  sweep?(folder: string): Promise<void>
  /** Ends the requests that are under way: they reject. */
  stop?(): void
}

/** The format that an object of a place names. */
const FORMAT = 'meshstore-replica'
const VERSION = 1
const NAME = 'replica.json'

/** The name of a database's registration in its change log and in `meshstore_state`. */
export const registrationOf = (id: string): `replica:${string}` => `replica:${id}`

/** The id of the place. `undefined` if nothing was ever replicated there. Throws CONFIG. */
export async function idOf(place: Place): Promise<string | undefined> {
  const bytes = await place.get(NAME)
  if (bytes === undefined) return undefined
  const found = parsed(bytes, `${place.name}/${NAME}`)
  if (found.format !== FORMAT || typeof found.id !== 'string')
    throw new StorageError('CONFIG', `${place.name}/${NAME} is not of a replica. Choose an empty place.`)
  assertVersion(found.version, VERSION, `${place.name}/${NAME}`)
  return found.id
}

/** The id of the place, which gets one if it has none. */
export async function claimed(place: Place, now: Date): Promise<string> {
  const known = await idOf(place)
  if (known !== undefined) return known
  const id = crypto.randomUUID()
  const text = JSON.stringify({ format: FORMAT, version: VERSION, id, at: now.toISOString() })
  if (await place.create(NAME, Buffer.from(`${text}\n`))) return id
  return (await idOf(place)) ?? id
}

/** Whether the object in the place is this one, also where the answer to an earlier attempt was lost. */
export async function createdOwn(place: Place, name: string, bytes: Uint8Array): Promise<boolean> {
  if (await place.create(name, bytes)) return true
  return (await place.get(name))?.equals(bytes) === true
}

/** Parses a small JSON object of the place. Throws BACKUP_INVALID. */
export function parsed(bytes: Uint8Array, name: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'))
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>
  } catch {}
  throw damaged(name)
}

export function assertVersion(found: unknown, known: number, name: string): void {
  if (typeof found === 'number' && found > known)
    throw new StorageError(
      'SCHEMA_NEWER',
      `${name} was written by a newer version of this package. Nothing was restored. Use that version.`,
    )
}

export const damaged = (name: string, cause?: unknown): StorageError =>
  new StorageError(
    'BACKUP_INVALID',
    `${name} is damaged: it is not what was written, and must not be used. Restore an earlier moment.`,
    { cause },
  )
