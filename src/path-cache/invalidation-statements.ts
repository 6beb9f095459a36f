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

export const add = statement<Invalidation>()('marks.add', (db, { marks }, p) =>
  db.insert(marks).values(pick(p, ['source', 'destination', 'through', 'markedAt', 'swept'])),
)

/** Always one row. */
export const invalidationState = statement<object>()('marks.standing', (db, { marks }, _, fn) =>
  db
    .select({
      position: fn.invalidations.position(),
      isAnyPending: fn.invalidations.isAnyPending(),
      newest: max(marks.id),
    })
    .from(marks)
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
  'marks.finish',
  (db, { marks }, p, fn) =>
    db
      .update(marks)
      .set({ swept: p.swept })
      .where(and(fn.invalidations.isPending(), fn.invalidations.isUpTo(p.position))),
  'housekeeping',
)

/** Deletes seen positions. They are needed only while an invalidation is pending. */
export const removeSeenPositions = statement<{ batchSize: number }>()(
  'stamps.purge',
  (db, { stamps }, p, fn) => {
    const batch = db.select({ cacheKey: stamps.cacheKey }).from(stamps).where(undefined).limit(p.batchSize)
    return db.delete(stamps).where(and(not(fn.invalidations.isAnyPending()), isIn(stamps.cacheKey, batch)))
  },
  'housekeeping',
)

export const firstUpTo = statement<{ upTo: number; before: Date }>()('marks.first', (db, { marks }, p, fn) =>
  db
    .select({ id: marks.id })
    .from(marks)
    .where(and(lte(marks.id, p.upTo), lte(marks.markedAt, p.before), not(fn.invalidations.isPending())))
    .orderBy(ascending(marks.id))
    .limit(1),
)

/** Deletes the oldest invalidations up to `upTo`. */
export const removeUpTo = statement<{ before: Date; upTo: number; batchSize: number }>()(
  'marks.purge',
  (db, { marks }, p, fn) => {
    const batch = db
      .select({ id: marks.id })
      .from(marks)
      .where(undefined)
      .orderBy(ascending(marks.id))
      .limit(p.batchSize)
    return db
      .delete(marks)
      .where(
        and(
          isIn(marks.id, batch),
          not(fn.invalidations.isPending()),
          lte(marks.markedAt, p.before),
          lte(marks.id, p.upTo),
        ),
      )
  },
  'housekeeping',
)

export const anySeenPosition = statement<object>()('stamps.any', (db, { stamps }) =>
  db.select({ cacheKey: stamps.cacheKey }).from(stamps).where(undefined).limit(1),
)
