/** Invalidations of cached paths on SQLite: with one writer, their ids follow the order of the commits. */
import { Param, sql } from 'drizzle-orm'
import type { InvalidationFunctions } from '../queries.ts'
import { jsonArray } from './json.ts'

const PENDING = sql.raw('SELECT 1 FROM path_cache_marks WHERE swept = 0')

const SEEN_SQL = 'coalesce((SELECT mark FROM path_cache_stamps AS s WHERE s.cache_key = path_cache.cache_key), 0)'
const SEEN = sql.raw(SEEN_SQL)
const CONCERNS_SQL = `(m.source IS NULL OR m.source = path_cache.source)
  AND (m.destination IS NULL OR m.destination = path_cache.destination)`

/** The newer pending invalidations that concern the query's row of path_cache by source and destination. */
const CONCERNING_SQL = `path_cache_marks AS m WHERE m.swept = 0 AND m.id > ${SEEN_SQL} AND ${CONCERNS_SQL}`
const CONCERNING = sql.raw(CONCERNING_SQL)

/**
 * SQL condition on a row of path_cache: the row is valid. Copies use it, since they do not copy invalidations. It may
 * exclude a valid row: it searches the bundle's text for the node, and a text with escapes counts as a match.
 */
export const IS_VALID = `NOT EXISTS (SELECT 1 FROM ${CONCERNING_SQL}
  AND (m.through IS NULL OR m.through IN (path_cache.source, path_cache.destination)
    OR instr(path_cache.bundle_json, m.through) OR instr(path_cache.bundle_json, char(92))))`

export const invalidations: InvalidationFunctions = {
  isAnyPending: () => sql`EXISTS (${PENDING})`,
  isPending: () => sql`swept = 0`,
  isUpTo: (position) => sql`id <= CAST(${position} AS INTEGER)`,
  // Tests the common case first: no invalidation is pending.
  concerning: (most) =>
    sql`CASE WHEN EXISTS (${PENDING}) THEN
      nullif((SELECT json_group_array(through) FROM (SELECT m.through FROM ${CONCERNING} LIMIT ${sql.raw(String(most))})), '[]')
    END`,
  concerningAfter: (after, most) =>
    sql`CASE WHEN EXISTS (${PENDING}) THEN (SELECT max(id) FROM path_cache_marks) || coalesce(
      nullif((SELECT json_group_array(through) FROM (SELECT m.through FROM path_cache_marks AS m
        WHERE m.swept = 0 AND m.id > ${after === undefined ? SEEN : sql`max(${after}, ${SEEN})`} AND ${sql.raw(CONCERNS_SQL)}
        LIMIT ${sql.raw(String(most))})), '[]'), '')
    END`,
  isConcerned: () => sql`EXISTS (SELECT 1 FROM ${CONCERNING})`,
  isCleared: () =>
    sql`EXISTS (SELECT 1 FROM ${CONCERNING} AND m.source IS NULL AND m.destination IS NULL AND m.through IS NULL)`,
  position: () => sql`CAST(coalesce(max(id), 0) AS TEXT)`,
  isNoneSince: ({ position, source, destination, nodes }) =>
    sql`NOT EXISTS (
      SELECT 1 FROM path_cache_marks AS m
      WHERE m.id > CAST(${position} AS INTEGER)
      AND (m.source IS NULL OR m.source = ${source})
      AND (m.destination IS NULL OR m.destination = ${destination})
      AND (m.through IS NULL OR m.through IN (SELECT value FROM json_each(${new Param(nodes, jsonArray)})))
    )`,
}
