/** What invalidating and sweeping the path cache ask of a database. */
import { and, ascending, gt, isIn, lte, max, not, undecoded } from '../database/queries.ts'
import { pick, statement } from '../database/statement.ts'
import { MOST_MARKS } from './invalidation.ts'

export interface Mark {
  source: string | null
  destination: string | null
  through: string | null
  markedAt: Date
  /** What it invalidates is deleted with it. */
  swept: boolean
}

export const mark = statement<Mark>()('marks.add', (db, { marks }, p) =>
  db.insert(marks).values(pick(p, ['source', 'destination', 'through', 'markedAt', 'swept'])),
)

/** Always one row. */
export const standing = statement<object>()('marks.standing', (db, { marks }, _, fn) =>
  db
    .select({ position: fn.marks.position(), isAnyUnswept: fn.marks.isAnyUnswept(), newest: max(marks.id) })
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
      marks: fn.marks.concerning(MOST_MARKS),
    })
    .from(pathCache)
    .where(gt(pathCache.cacheKey, p.after))
    .orderBy(ascending(pathCache.cacheKey))
    .limit(p.limit),
)

/** One that has been replaced meanwhile stays. */
export const removeConcerned = statement<{ cacheKeys: readonly string[] }>()(
  'pathCache.deleteInvalidated',
  (db, { pathCache }, p, fn) =>
    db.delete(pathCache).where(and(fn.isOneOf(pathCache.cacheKey, p.cacheKeys), fn.marks.isConcerned())),
)

export const finish = statement<{ position: string; swept: boolean }>()('marks.finish', (db, { marks }, p, fn) =>
  db
    .update(marks)
    .set({ swept: p.swept })
    .where(and(fn.marks.isUnswept(), fn.marks.isUpTo(p.position))),
)

/** Where no mark is unswept, no path is judged by its stamp. */
export const removeStamps = statement<{ batchSize: number }>()('stamps.purge', (db, { stamps }, p, fn) => {
  const batch = db.select({ cacheKey: stamps.cacheKey }).from(stamps).where(undefined).limit(p.batchSize)
  return db.delete(stamps).where(and(not(fn.marks.isAnyUnswept()), isIn(stamps.cacheKey, batch)))
})

export const firstMarkUpTo = statement<{ upTo: number; before: Date }>()('marks.first', (db, { marks }, p, fn) =>
  db
    .select({ id: marks.id })
    .from(marks)
    .where(and(lte(marks.id, p.upTo), lte(marks.markedAt, p.before), not(fn.marks.isUnswept())))
    .orderBy(ascending(marks.id))
    .limit(1),
)

/** The oldest. Those above `upTo` stay. */
export const removeMarks = statement<{ before: Date; upTo: number; batchSize: number }>()(
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
        and(isIn(marks.id, batch), not(fn.marks.isUnswept()), lte(marks.markedAt, p.before), lte(marks.id, p.upTo)),
      )
  },
)

export const anyStamp = statement<object>()('stamps.any', (db, { stamps }) =>
  db.select({ cacheKey: stamps.cacheKey }).from(stamps).where(undefined).limit(1),
)
