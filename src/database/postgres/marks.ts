/**
 * What cached paths have heeded of the marks, on PostgreSQL: ids are not given in the order of the commits, so that a
 * writer's snapshot says which marks it saw. Of its own transaction's it saw those that came before.
 */
import { Param, sql } from 'drizzle-orm'
import type { MarkFunctions } from '../queries.ts'
import { textArray } from './arrays.ts'

/** A position from before the data moved here says nothing: `null`. */
const snapshot = {
  mapToDriverValue: (position: unknown): unknown => (/^\d+:\d+:/.test(String(position)) ? position : null),
}

const UNSWEPT = sql.raw('SELECT 1 FROM path_cache_marks WHERE NOT swept')

/**
 * Of the row of path_cache that a query looks at: the newer marks that concern it by source and destination. Where a transaction
 * stays open, of which nobody knows that it only reads, there are more and more unswept ones, nearly all of them older than the
 * stamp: those are told by their ids alone, by the index where it has them.
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
 * In SQL: the row of path_cache is not invalidated. For copies, which take no marks with them; rather one row less: a node
 * on the way is looked for in the bundle's text, and a text with escapes counts as having it.
 */
export const IS_VALID = `NOT EXISTS (SELECT 1 FROM ${CONCERNING_SQL}
  AND (m.through IS NULL OR m.through IN (path_cache.source, path_cache.destination)
    OR strpos(path_cache.bundle_json, m.through) > 0 OR strpos(path_cache.bundle_json, chr(92)) > 0))`

export const marks: MarkFunctions = {
  isAnyUnswept: () => sql`EXISTS (${UNSWEPT})`,
  isUnswept: () => sql`NOT swept`,
  isUpTo: (position) => sql`pg_visible_in_snapshot(transaction, ${new Param(position, snapshot)}::pg_snapshot)`,
  // Mostly there are none at all, which is known at once.
  concerning: (most) =>
    sql`CASE WHEN EXISTS (${UNSWEPT}) THEN (
      SELECT json_agg(found.through)::text FROM (SELECT m.through FROM ${CONCERNING} LIMIT ${sql.raw(String(most))}) AS found
    ) END`,
  isConcerned: () => sql`EXISTS (SELECT 1 FROM ${CONCERNING})`,
  isCleared: () =>
    sql`EXISTS (SELECT 1 FROM ${CONCERNING} AND m.source IS NULL AND m.destination IS NULL AND m.through IS NULL)`,
  position: () => sql`pg_current_snapshot()::text`,
  isNoneSince: ({ position, source, destination, nodes }) =>
    sql`${new Param(position, snapshot)}::pg_snapshot IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM path_cache_marks AS m
      WHERE m.transaction >= pg_snapshot_xmin(${new Param(position, snapshot)}::pg_snapshot)
      AND NOT pg_visible_in_snapshot(m.transaction, ${new Param(position, snapshot)}::pg_snapshot)
      AND (m.source IS NULL OR m.source = ${source})
      AND (m.destination IS NULL OR m.destination = ${destination})
      AND (m.through IS NULL OR m.through = ANY(${new Param(nodes, textArray)}::text[]))
    )`,
}
