import type { CachedPathFilter } from '../api.ts'
import {
  and,
  ascending,
  count,
  descending,
  eq,
  excluded,
  gt,
  isAbove,
  isIn,
  lt,
  lte,
  not,
  rowIf,
  type Tables,
  undecoded,
} from '../database/queries.ts'
import { pick, statement, statementFor } from '../database/statement.ts'
import type { Range } from '../repositories/pages.ts'
import type { JsonText } from '../schema/codecs.ts'
import type { CachedPath, PathBundle } from '../schema/index.ts'
import { MAX_PENDING_PER_PATH } from './invalidation.ts'

const COLUMNS = ['cacheKey', 'source', 'destination', 'k', 'bundle', 'createdAt', 'expiresAt'] as const
export const FILTER_FIELDS = ['source', 'destination'] as const
export const AHEAD = ['after', 'before'] as const
export const CONDITIONS = [...FILTER_FIELDS, ...AHEAD, 'upTo'] as const

const reading = (name: string, isChecked: boolean) =>
  statement<{ cacheKey: string; now: Date; after: number }>()(
    name,
    (db, { pathCache }, p, { invalidations }) =>
      db
        .select({
          cacheKey: pathCache.cacheKey,
          bundle: pathCache.bundle,
          expiresAt: pathCache.expiresAt,
          invalidations: invalidations.concerningAfter(isChecked ? p.after : undefined, MAX_PENDING_PER_PATH),
        })
        .from(pathCache)
        .where(and(eq(pathCache.cacheKey, p.cacheKey), gt(pathCache.expiresAt, p.now))),
    'reads one row',
  )

export const byKey = reading('pathCache.get', false)
/** The caller has checked the path against the invalidations up to `after`. */
export const byKeyChecked = reading('pathCache.get:after', true)

export const entryByKey = statement<{ cacheKey: string; now: Date }>()(
  'pathCache.getEntry',
  (db, { pathCache }, p, { invalidations }) =>
    db
      .select({ ...pick(pathCache, COLUMNS), invalidations: invalidations.concerning(MAX_PENDING_PER_PATH) })
      .from(pathCache)
      .where(and(eq(pathCache.cacheKey, p.cacheKey), gt(pathCache.expiresAt, p.now))),
  'reads one row',
)

export type Entry = Omit<CachedPath, 'bundle'> & { bundle: PathBundle | JsonText }
const replacing = ({ pathCache }: Pick<Tables, 'pathCache'>) => ({
  target: pathCache.cacheKey,
  set: {
    source: excluded(pathCache.source),
    destination: excluded(pathCache.destination),
    k: excluded(pathCache.k),
    bundle: excluded(pathCache.bundle),
    createdAt: excluded(pathCache.createdAt),
    expiresAt: excluded(pathCache.expiresAt),
  },
})

export const upsert = statement<Entry>()(
  'pathCache.set',
  (db, tables, p) => db.insert(tables.pathCache).values(pick(p, COLUMNS)).onConflictDoUpdate(replacing(tables)),
  'inserts one row',
)

/** Stores a computed bundle, unless a process has invalidated it after the position. */
export const upsertUnlessInvalidated = statement<Entry & { position: string; nodes: readonly string[] }>()(
  'pathCache.store',
  (db, tables, p, { invalidations }) =>
    db
      .insert(tables.pathCache)
      .select(rowIf(tables.pathCache, pick(p, COLUMNS), invalidations.isNoneSince(p)))
      .onConflictDoUpdate(replacing(tables)),
  'names one row',
)

export const remove = statement<{ cacheKey: string; now: Date }>()(
  'pathCache.delete',
  (db, { pathCache }, p, { invalidations }) =>
    db
      .delete(pathCache)
      .where(eq(pathCache.cacheKey, p.cacheKey))
      .returning({
        cacheKey: pathCache.cacheKey,
        live: isAbove(pathCache.expiresAt, p.now),
        bundle: undecoded(pathCache.bundle),
        invalidations: invalidations.concerning(MAX_PENDING_PER_PATH),
      }),
  'changes one row',
)

type Filter = CachedPathFilter & { now: Date }
type Keys = Range & { before?: string | undefined }
/** In the keys' order, read from the key's index: another column's index would need a sort. */
export const list = statementFor((fields: readonly (typeof CONDITIONS)[number][]) =>
  statement<Filter & Keys & { limit: number }>()(
    `pathCache.list:${fields.join()}`,
    (db, { pathCache }, p, { invalidations, unindexed }) =>
      db
        .select({ ...pick(pathCache, COLUMNS), invalidations: invalidations.concerning(MAX_PENDING_PER_PATH) })
        .from(pathCache)
        .where(
          and(
            fields.includes('source') ? unindexed(eq(pathCache.source, p.source)) : undefined,
            fields.includes('destination') ? unindexed(eq(pathCache.destination, p.destination)) : undefined,
            fields.includes('after') ? gt(pathCache.cacheKey, p.after) : undefined,
            fields.includes('before') ? lt(pathCache.cacheKey, p.before) : undefined,
            fields.includes('upTo') ? lte(pathCache.cacheKey, p.upTo) : undefined,
            unindexed(gt(pathCache.expiresAt, p.now)),
          ),
        )
        .orderBy(ascending(pathCache.cacheKey))
        .limit(p.limit),
  ),
)

/** Read from the key's index alone. */
export const keyAhead = statementFor((fields: readonly (typeof AHEAD)[number][]) =>
  statement<Keys & { skipped: number }>()(`pathCache.keyAhead:${fields.join()}`, (db, { pathCache }, p) =>
    db
      .select({ cacheKey: pathCache.cacheKey })
      .from(pathCache)
      .where(
        and(
          fields.includes('after') ? gt(pathCache.cacheKey, p.after) : undefined,
          fields.includes('before') ? lt(pathCache.cacheKey, p.before) : undefined,
        ),
      )
      .orderBy(ascending(pathCache.cacheKey))
      .limit(1)
      .offset(p.skipped),
  ),
)

export const countMatching = statementFor((fields: readonly (typeof FILTER_FIELDS)[number][]) =>
  statement<Filter>()(`pathCache.count:${fields.join()}`, (db, { pathCache }, p, { invalidations }) =>
    db
      .select({ count: count(), isAnyPending: invalidations.isAnyPending() })
      .from(pathCache)
      .where(
        and(
          fields.includes('source') ? eq(pathCache.source, p.source) : undefined,
          fields.includes('destination') ? eq(pathCache.destination, p.destination) : undefined,
          gt(pathCache.expiresAt, p.now),
        ),
      ),
  ),
)

export const removeMatching = statementFor((fields: readonly (typeof FILTER_FIELDS)[number][]) =>
  statement<CachedPathFilter>()(`pathCache.invalidate:${fields.join()}`, (db, { pathCache }, p) =>
    db
      .delete(pathCache)
      .where(
        and(
          fields.includes('source') ? eq(pathCache.source, p.source) : undefined,
          fields.includes('destination') ? eq(pathCache.destination, p.destination) : undefined,
        ),
      ),
  ),
)

export const removeExpired = statement<{ now: Date; batchSize: number }>()(
  'pathCache.deleteExpired',
  (db, { pathCache }, p) => {
    const batch = db
      .select({ cacheKey: pathCache.cacheKey })
      .from(pathCache)
      .where(lte(pathCache.expiresAt, p.now))
      .orderBy(ascending(pathCache.expiresAt))
      .limit(p.batchSize)
    return db.delete(pathCache).where(isIn(pathCache.cacheKey, batch))
  },
)

export const firstExpired = statement<{ now: Date }>()('pathCache.firstExpired', (db, { pathCache }, p) =>
  db.select({ cacheKey: pathCache.cacheKey }).from(pathCache).where(lte(pathCache.expiresAt, p.now)).limit(1),
)

/** One entry beyond the `maxEntries` that live longest. */
export const firstAbove = statement<{ maxEntries: number }>()('pathCache.firstAbove', (db, { pathCache }, p) =>
  db
    .select({ cacheKey: pathCache.cacheKey })
    .from(pathCache)
    .where(undefined)
    .orderBy(descending(pathCache.expiresAt))
    .limit(1)
    .offset(p.maxEntries),
)

export const removeAbove = statement<{ maxEntries: number; batchSize: number }>()(
  'pathCache.evict',
  (db, { pathCache }, p) => {
    const batch = db
      .select({ cacheKey: pathCache.cacheKey })
      .from(pathCache)
      .where(undefined)
      .orderBy(descending(pathCache.expiresAt))
      .limit(p.batchSize)
      .offset(p.maxEntries)
    return db.delete(pathCache).where(isIn(pathCache.cacheKey, batch))
  },
)

/** Counts entries, except those that a `clear()` left to the sweep. */
export const countUncleared = statement<object>()(
  'pathCache.countUncleared',
  (db, { pathCache }, _, { invalidations }) =>
    db.select({ count: count() }).from(pathCache).where(not(invalidations.isCleared())),
)

export const countAll = statement<object>()('pathCache.countAll', (db, { pathCache }) =>
  db.select({ count: count() }).from(pathCache).where(undefined),
)
export const countExpired = statement<{ now: Date }>()('pathCache.countExpired', (db, { pathCache }, p) =>
  db.select({ count: count() }).from(pathCache).where(lte(pathCache.expiresAt, p.now)),
)
