/** What the path cache asks of a database. */
import type { CachedPathFilter } from '../api.ts'
import { and, ascending, count, eq, excluded, gt, isAbove, isIn, lte } from '../database/queries.ts'
import { pick, statement, statementFor } from '../database/statement.ts'
import type { JsonText } from '../schema/codecs.ts'
import type { CachedPath, PathBundle } from '../schema/index.ts'

const COLUMNS = ['cacheKey', 'source', 'destination', 'k', 'bundle', 'createdAt', 'expiresAt'] as const
export const FILTER_FIELDS = ['source', 'destination'] as const
export const CONDITIONS = [...FILTER_FIELDS, 'after'] as const

export const byKey = statement<{ cacheKey: string; now: Date }>()('pathCache.get', (db, { pathCache }, p) =>
  db
    .select({ cacheKey: pathCache.cacheKey, bundle: pathCache.bundle, expiresAt: pathCache.expiresAt })
    .from(pathCache)
    .where(and(eq(pathCache.cacheKey, p.cacheKey), gt(pathCache.expiresAt, p.now))),
)

export const entryByKey = statement<{ cacheKey: string; now: Date }>()('pathCache.getEntry', (db, { pathCache }, p) =>
  db
    .select()
    .from(pathCache)
    .where(and(eq(pathCache.cacheKey, p.cacheKey), gt(pathCache.expiresAt, p.now))),
)

export type Entry = Omit<CachedPath, 'bundle'> & { bundle: PathBundle | JsonText }
export const upsert = statement<Entry>()(
  'pathCache.set',
  (db, { pathCache }, p) => {
    const set = {
      source: excluded(pathCache.source),
      destination: excluded(pathCache.destination),
      k: excluded(pathCache.k),
      bundle: excluded(pathCache.bundle),
      createdAt: excluded(pathCache.createdAt),
      expiresAt: excluded(pathCache.expiresAt),
    }
    return db.insert(pathCache).values(pick(p, COLUMNS)).onConflictDoUpdate({ target: pathCache.cacheKey, set })
  },
  'inserts one row',
)

export const remove = statement<{ cacheKey: string; now: Date }>()('pathCache.delete', (db, { pathCache }, p) =>
  db
    .delete(pathCache)
    .where(eq(pathCache.cacheKey, p.cacheKey))
    .returning({ live: isAbove(pathCache.expiresAt, p.now) }),
)

type Filter = CachedPathFilter & { now: Date }
export const list = statementFor((fields: readonly (typeof CONDITIONS)[number][]) =>
  statement<Filter & { after?: string | undefined; limit: number }>()(
    `pathCache.list:${fields.join()}`,
    (db, { pathCache }, p) =>
      db
        .select()
        .from(pathCache)
        .where(
          and(
            fields.includes('source') ? eq(pathCache.source, p.source) : undefined,
            fields.includes('destination') ? eq(pathCache.destination, p.destination) : undefined,
            fields.includes('after') ? gt(pathCache.cacheKey, p.after) : undefined,
            gt(pathCache.expiresAt, p.now),
          ),
        )
        .orderBy(ascending(pathCache.cacheKey))
        .limit(p.limit),
  ),
)

export const countMatching = statementFor((fields: readonly (typeof FILTER_FIELDS)[number][]) =>
  statement<Filter>()(`pathCache.count:${fields.join()}`, (db, { pathCache }, p) =>
    db
      .select({ count: count() })
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

export const removeAll = statement<object>()('pathCache.clear', (db, { pathCache }) =>
  db.delete(pathCache).where(undefined),
)

export const countAll = statement<object>()('pathCache.countAll', (db, { pathCache }) =>
  db.select({ count: count() }).from(pathCache).where(undefined),
)
export const countExpired = statement<{ now: Date }>()('pathCache.countExpired', (db, { pathCache }, p) =>
  db.select({ count: count() }).from(pathCache).where(lte(pathCache.expiresAt, p.now)),
)
