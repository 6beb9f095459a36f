/**
 * Invalidations of cached paths on PostgreSQL: their ids do not follow the order of the commits, so that a writer's snapshot
 * says which of them it saw. In its own transaction, the writer saw those with lower ids.
 */
import { Param, type SQL, sql } from 'drizzle-orm'
import type { InvalidationFunctions } from '../queries.ts'
import { textArray } from './arrays.ts'

/** A position from before the data moved here cannot be compared: `null`. */
const known = {
  mapToDriverValue: (position: unknown): unknown => (/^\d+:\d+:[\d,]*@/.test(String(position)) ? position : null),
}
/**
 * Identifies the server's run: by the start of the main process, which a restart or a fail-over changes, and by the reset of the
 * statistics, which a crash causes. A new run may have lost commits, and may give their transaction ids again.
 */
const RUN = sql.raw(`extract(epoch FROM pg_postmaster_start_time()) || '/' ||
  coalesce(extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()), 0)`)
const textOf = (position: unknown): SQL => sql`${new Param(position, known)}::text`
const snapshotOf = (position: unknown): SQL => sql`split_part(${textOf(position)}, '@', 1)::pg_snapshot`
const isOfThisRun = (position: unknown): SQL => sql`split_part(${textOf(position)}, '@', 2) = ${RUN}`

const PENDING = sql.raw('SELECT 1 FROM path_cache_marks WHERE NOT swept')

/**
 * For the query's row of path_cache: the newer pending invalidations that concern it by source and destination. While a
 * transaction stays open that may yet write, more and more invalidations stay pending, nearly all of them older than the seen
 * position: the index on `transaction` excludes those.
 */
const CONCERNING_SQL = `(SELECT 1) AS one
  LEFT JOIN path_cache_stamps AS s ON s.cache_key = path_cache.cache_key
  JOIN path_cache_marks AS m ON m.transaction >= coalesce(pg_snapshot_xmin(s.snapshot), '0')
  WHERE NOT m.swept
  AND (s.cache_key IS NULL
    OR CASE WHEN m.transaction = s.transaction THEN m.id > s.mark
         ELSE NOT pg_visible_in_snapshot(m.transaction, s.snapshot) END)
  AND (m.source IS NULL OR m.source = path_cache.source)
  AND (m.destination IS NULL OR m.destination = path_cache.destination)`
const CONCERNING = sql.raw(CONCERNING_SQL)

/**
 * SQL condition on a row of path_cache: the row is valid. Copies use it, since they do not copy invalidations. It may exclude a
 * valid row: it searches the bundle's text for the node, and a text with escapes counts as a match.
 */
export const IS_VALID = `NOT EXISTS (SELECT 1 FROM ${CONCERNING_SQL}
  AND (m.through IS NULL OR m.through IN (path_cache.source, path_cache.destination)
    OR strpos(path_cache.bundle_json, m.through) > 0 OR strpos(path_cache.bundle_json, chr(92)) > 0))`

/** Tests the common case first: no invalidation is pending. */
const concerning = (most: number): SQL<string | null> =>
  sql`CASE WHEN EXISTS (${PENDING}) THEN (
    SELECT json_agg(found.through)::text FROM (SELECT m.through FROM ${CONCERNING} LIMIT ${sql.raw(String(most))}) AS found
  ) END`

export const invalidations: InvalidationFunctions = {
  isAnyPending: () => sql`EXISTS (${PENDING})`,
  isPending: () => sql`NOT swept`,
  isUpTo: (position) =>
    sql`(${isOfThisRun(position)} AND pg_visible_in_snapshot(transaction, ${snapshotOf(position)}))`,
  concerning,
  // Ids do not follow the order of the commits here: no position is told.
  concerningAfter: (_, most) => concerning(most),
  isConcerned: () => sql`EXISTS (SELECT 1 FROM ${CONCERNING})`,
  isCleared: () =>
    sql`EXISTS (SELECT 1 FROM ${CONCERNING} AND m.source IS NULL AND m.destination IS NULL AND m.through IS NULL)`,
  position: () => sql`pg_current_snapshot()::text || '@' || ${RUN}`,
  isNoneSince: ({ position, source, destination, nodes }) =>
    sql`${isOfThisRun(position)} AND NOT EXISTS (
      SELECT 1 FROM path_cache_marks AS m
      WHERE m.transaction >= pg_snapshot_xmin(${snapshotOf(position)})
      AND NOT pg_visible_in_snapshot(m.transaction, ${snapshotOf(position)})
      AND (m.source IS NULL OR m.source = ${source})
      AND (m.destination IS NULL OR m.destination = ${destination})
      AND (m.through IS NULL OR m.through = ANY(${new Param(nodes, textArray)}::text[]))
    )`,
}
