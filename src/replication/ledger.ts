/** A database's notes about its replica: rows of `meshstore_state`, by the id of the place. */
import type { Session } from '../database/session.ts'
import { StorageError } from '../errors.ts'
import { remember, remembered, rememberOnce, replaceIf } from '../repositories/state.ts'
import type { At } from './generation.ts'
import { registrationOf } from './place.ts'

/** Copies of a database have its lineage. */
export interface Lineage {
  readonly id: string
  /** The database was restored from the place, or promoted: it may begin a generation after another lineage's. */
  readonly takesOver?: boolean
}

const lineageName = (place: string): `lineage:${string}` => `lineage:${place}`

function parsed<T>(text: string, name: string): T {
  try {
    return JSON.parse(text) as T
  } catch {
    throw new StorageError(
      'CORRUPT',
      `The row ${name} of meshstore_state is no JSON. Nothing was shipped. Delete the row.`,
    )
  }
}

export async function lineageOf(session: Session, place: string): Promise<Lineage | undefined> {
  const name = lineageName(place)
  const row = await remembered(session, name)
  return row && parsed<Lineage>(row.value, name)
}

export async function noteLineage(session: Session, place: string, lineage: Lineage, at: Date): Promise<void> {
  await remember(session, { name: lineageName(place), value: JSON.stringify(lineage), updatedAt: at })
}

/** The database's lineage. Processes that begin at the same time get the same one. */
export async function ownLineage(session: Session, place: string, lineage: Lineage, at: Date): Promise<Lineage> {
  const name = lineageName(place)
  const value = await rememberOnce(session, { name, value: JSON.stringify(lineage), updatedAt: at })
  return parsed<Lineage>(value, name)
}

/**
 * The segment that is about to be shipped. A place that has more was not filled by this database as it is: the file was rolled back to
 * a copy, and changes after that copy would be missed.
 */
export interface Intent extends At {
  /** Hashes of the same segment as other processes on this database were about to ship it. */
  readonly others?: readonly string[]
}

export const isIntended = ({ hash, others = [] }: Intent, found: string): boolean =>
  found === hash || others.includes(found)

export async function intentOf(session: Session, place: string): Promise<Intent | undefined> {
  const name = registrationOf(place)
  const row = await remembered(session, name)
  return row && parsed<Intent>(row.value, name)
}

export async function intend(session: Session, place: string, at: At, updatedAt: Date): Promise<void> {
  await remember(session, { name: registrationOf(place), value: JSON.stringify(at), updatedAt })
}

/**
 * Notes the segment after `head`. `ahead`: another process on this database has shipped further. `behind`: the database has
 * forgotten `head`.
 */
export async function intendNext(
  session: Session,
  place: string,
  { head, next }: { readonly head: At; readonly next: At },
  updatedAt: Date,
): Promise<'noted' | 'ahead' | 'behind'> {
  const name = registrationOf(place)
  for (;;) {
    const row = await remembered(session, name)
    if (row === undefined) return 'behind'
    const found = parsed<Intent>(row.value, name)
    if (found.generation !== next.generation) return found.generation > next.generation ? 'ahead' : 'behind'
    if (found.segment > next.segment) return 'ahead'
    if (found.segment < head.segment) return 'behind'
    if (found.segment === head.segment && !isIntended(found, head.hash)) return 'behind'
    const others = found.segment === next.segment ? [found.hash, ...(found.others ?? [])] : []
    const intent: Intent = { ...next, others: [...new Set(others)].filter((hash) => hash !== next.hash) }
    const value = JSON.stringify(intent)
    if (await replaceIf(session, { name, known: row.value, value, updatedAt })) return 'noted'
  }
}
