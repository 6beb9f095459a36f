/** Statements on invalidations, and on the seen positions of cached paths. */
import { and, ascending, gt, isIn, lte, max, not, undecoded } from '../database/queries.ts'
import { pick, statement } from '../database/statement.ts'
import { MAX_PENDING_PER_PATH } from './invalidation.ts'

export interface Invalidation {
  source: string | null
  destination: string | null
  through: string | null
  markedAt: Date
  /** `false`: pending. The sweep has yet to delete the paths that it concerns. */
  swept: boolean
}

export const add = statement<Invalidation>()('invalidations.add', (db, { invalidations }, p) =>
  db.insert(invalidations).values(pick(p, ['source', 'destination', 'through', 'markedAt', 'swept'])),
)

/** Always one row. */
export const invalidationState = statement<object>()('invalidations.state', (db, { invalidations }, _, fn) =>
  db
    .select({
      position: fn.invalidations.position(),
      isAnyPending: fn.invalidations.isAnyPending(),
      newest: max(invalidations.id),
    })
    .from(invalidations)
    .where(undefined),
)

export const page = statement<{ after: string; limit: number }>()('pathCache.sweep', (db, { pathCache }, p, fn) =>
  db
    .select({
      cacheKey: pathCache.cacheKey,
      source: pathCache.source,
      destination: pathCache.destination,
      bundle: undecoded(pathCache.bundle),
      invalidations: fn.invalidations.concerning(MAX_PENDING_PER_PATH),
    })
    .from(pathCache)
    .where(gt(pathCache.cacheKey, p.after))
    .orderBy(ascending(pathCache.cacheKey))
    .limit(p.limit),
)

/** Deletes entries that are still invalidated: an entry that was replaced meanwhile stays. */
export const removeConcerned = statement<{ cacheKeys: readonly string[] }>()(
  'pathCache.deleteInvalidated',
  (db, { pathCache }, p, fn) =>
    db.delete(pathCache).where(and(fn.isOneOf(pathCache.cacheKey, p.cacheKeys), fn.invalidations.isConcerned())),
  'housekeeping',
)

export const finish = statement<{ position: string; swept: boolean }>()(
  'invalidations.finish',
  (db, { invalidations }, p, fn) =>
    db
      .update(invalidations)
      .set({ swept: p.swept })
      .where(and(fn.invalidations.isPending(), fn.invalidations.isUpTo(p.position))),
  'housekeeping',
)

/** Deletes seen positions. They are needed only while an invalidation is pending. */
export const removeSeenPositions = statement<{ batchSize: number }>()(
  'seenPositions.purge',
  (db, { seenPositions }, p, fn) => {
    const batch = db
      .select({ cacheKey: seenPositions.cacheKey })
      .from(seenPositions)
      .where(undefined)
      .limit(p.batchSize)
    return db
      .delete(seenPositions)
      .where(and(not(fn.invalidations.isAnyPending()), isIn(seenPositions.cacheKey, batch)))
  },
  'housekeeping',
)

export const firstUpTo = statement<{ upTo: number; before: Date }>()(
  'invalidations.first',
  (db, { invalidations }, p, fn) =>
    db
      .select({ id: invalidations.id })
      .from(invalidations)
      .where(
        and(lte(invalidations.id, p.upTo), lte(invalidations.markedAt, p.before), not(fn.invalidations.isPending())),
      )
      .orderBy(ascending(invalidations.id))
      .limit(1),
)

/** Deletes the oldest invalidations up to `upTo`. */
export const removeUpTo = statement<{ before: Date; upTo: number; batchSize: number }>()(
  'invalidations.purge',
  (db, { invalidations }, p, fn) => {
    const batch = db
      .select({ id: invalidations.id })
      .from(invalidations)
      .where(undefined)
      .orderBy(ascending(invalidations.id))
      .limit(p.batchSize)
    return db
      .delete(invalidations)
      .where(
        and(
          isIn(invalidations.id, batch),
          not(fn.invalidations.isPending()),
          lte(invalidations.markedAt, p.before),
          lte(invalidations.id, p.upTo),
        ),
      )
  },
  'housekeeping',
)

export const anySeenPosition = statement<object>()('seenPositions.any', (db, { seenPositions }) =>
  db.select({ cacheKey: seenPositions.cacheKey }).from(seenPositions).where(undefined).limit(1),
)
