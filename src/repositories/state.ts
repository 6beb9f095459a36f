/** The library's own state in `meshstore_state`, by name. */
import { and, eq, excluded } from '../database/queries.ts'
import type { Session } from '../database/session.ts'
import { pick, statement } from '../database/statement.ts'

type Name =
  | 'last_backup'
  | 'last_health_check'
  | 'path_cache_invalidation'
  | 'move'
  // By the id of the replica's place.
  | `replica:${string}`
  | `lineage:${string}`

interface Entry {
  name: string
  value: string
  updatedAt: Date
}

const byName = statement<{ name: string }>()(
  'state.get',
  (db, { state }, p) => db.select().from(state).where(eq(state.name, p.name)),
  'names one row',
)

const upsert = statement<Entry>()(
  'state.set',
  (db, { state }, p) =>
    db
      .insert(state)
      .values(pick(p, ['name', 'value', 'updatedAt']))
      .onConflictDoUpdate({
        target: state.name,
        set: { value: excluded(state.value), updatedAt: excluded(state.updatedAt) },
      }),
  'names one row',
)

const insert = statement<Entry>()(
  'state.add',
  (db, { state }, p) =>
    db
      .insert(state)
      .values(pick(p, ['name', 'value', 'updatedAt']))
      .onConflictDoNothing(),
  'names one row',
)

const swap = statement<Entry & { known: string }>()(
  'state.swap',
  (db, { state }, p) =>
    db
      .update(state)
      .set(pick(p, ['value', 'updatedAt']))
      .where(and(eq(state.name, p.name), eq(state.value, p.known))),
  'names one row',
)

/** Replaces a value, ahead of the writes that wait. `false` if it is not `known` any more. */
export const replaceIf = async (session: Session, entry: Entry & { name: Name; known: string }): Promise<boolean> =>
  (await session.write(swap, entry, { ahead: true })).changes > 0

/** Keeps what another process has noted, and returns it. */
export async function rememberOnce(session: Session, entry: Entry & { name: Name }): Promise<string> {
  await session.write(insert, entry)
  return (await remembered(session, entry.name))?.value ?? entry.value
}

export const remember = (session: Session, entry: Entry & { name: Name }): Promise<unknown> =>
  session.write(upsert, entry)

/** The invalidation mode of the path cache. */
export const invalidationOf = async (session: Session): Promise<'topology' | 'manual'> =>
  (await remembered(session, 'path_cache_invalidation'))?.value === 'manual' ? 'manual' : 'topology'

export const remembered = (session: Session, name: Name): Promise<{ value: string; updatedAt: Date } | undefined> =>
  session.readOne(byName, { name })
