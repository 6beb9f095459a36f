/** Statements of the change log on PostgreSQL. */

/**
 * Name of the low-water mark in meshstore_consumers. The row exists when every open transaction writes to the log. Entries of
 * transactions with ids below its position are deleted.
 */
export const WHOLE = ''
/** Prefix of the beats' names in meshstore_consumers. */
export const BEAT = 'beat:'

/** Locks the row of meshstore_state that switches the log on and names it. Registering and pruning hold this lock. */
export const LOCK = "SELECT 1 FROM meshstore_state WHERE name = 'change_log' FOR UPDATE"
/** Switches the log on and locks the row, in one statement: a separate lock could miss a row that was just deleted. */
export const SWITCH_ON = `INSERT INTO meshstore_state (name, value, updated_at) VALUES ('change_log', $1, $2)
  ON CONFLICT (name) DO UPDATE SET value = meshstore_state.value RETURNING value`
export const REGISTER = `INSERT INTO meshstore_consumers (name, position, kept_until) VALUES ($1, $2, $3)
  ON CONFLICT (name) DO UPDATE SET position = excluded.position, kept_until = excluded.kept_until`
export const RENEW = 'UPDATE meshstore_consumers SET position = $1, kept_until = $2 WHERE name = $3 RETURNING 1'
export const AT = `SELECT value, position FROM meshstore_state, meshstore_consumers
  WHERE meshstore_state.name = 'change_log' AND meshstore_consumers.name = $1`
export const IS_WHOLE = `SELECT 1 FROM meshstore_consumers WHERE name = '${WHOLE}'`
export const IS_LOG = "SELECT 1 FROM meshstore_state WHERE name = 'change_log' AND value = $1"
/** A position is not held if its beat is gone, or if its snapshot is from the future: it belongs to another server. */
export const IS_HELD = `SELECT EXISTS (${IS_LOG})
  AND pg_snapshot_xmin($2::pg_snapshot) >= (SELECT position FROM meshstore_consumers WHERE name = '${WHOLE}')::xid8
  AND pg_snapshot_xmax($2::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
  AND EXISTS (SELECT 1 FROM meshstore_consumers WHERE name = $3)`
/** The digest covers the changes that a position has read since its beat. */
export const DIGEST = `WITH beat AS MATERIALIZED (SELECT position::pg_snapshot AS shown FROM meshstore_consumers WHERE name = $1)
  SELECT coalesce(sum(nonce), 0)::text FROM meshstore_changes
  WHERE transaction >= pg_snapshot_xmin((SELECT shown FROM beat))
  AND NOT pg_visible_in_snapshot(transaction, (SELECT shown FROM beat))
  AND (pg_visible_in_snapshot(transaction, $2::pg_snapshot) OR (pg_visible_in_snapshot(transaction, $3::pg_snapshot) AND seq <= $4))`
/**
 * The first changes that a snapshot does not show. Materialized, with conditions on ids: the index finds them, however many changes
 * the snapshot shows, and however old its xmin is.
 */
export const FIRST_UNSEEN = `WITH unseen AS MATERIALIZED (
    SELECT seq, transaction FROM meshstore_changes WHERE transaction >= pg_snapshot_xmax($1::pg_snapshot)
    UNION ALL
    SELECT seq, transaction FROM meshstore_changes WHERE transaction = ANY (ARRAY(SELECT pg_snapshot_xip($1::pg_snapshot)))
  ) SELECT pg_current_snapshot()::text, min(seq), max(transaction::text::bigint) FROM unseen`
/** For each position at the end of a window: whether a change follows it, or it is not held any more. */
export const HAS_NEWS = `SELECT EXISTS (SELECT 1 FROM meshstore_changes WHERE transaction >= pg_snapshot_xmax(seen))
    OR EXISTS (SELECT 1 FROM meshstore_changes WHERE transaction = ANY (ARRAY(SELECT pg_snapshot_xip(seen))))
    OR pg_snapshot_xmax(seen) > pg_snapshot_xmax(pg_current_snapshot())
    OR NOT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log' AND value = log)
    OR NOT EXISTS (SELECT 1 FROM meshstore_consumers WHERE name = '${BEAT}' || beat)
    OR NOT EXISTS (SELECT 1 FROM meshstore_consumers WHERE name = '${WHOLE}' AND position::xid8 <= pg_snapshot_xmin(seen))
  FROM unnest($1::text[], $2::pg_snapshot[], $3::text[]) WITH ORDINALITY AS at (log, seen, beat, number) ORDER BY number`
export const READ = `SELECT seq, table_name, key, operation, nonce FROM meshstore_changes
  WHERE seq > $3 AND NOT pg_visible_in_snapshot(transaction, $1::pg_snapshot)
  AND pg_visible_in_snapshot(transaction, $2::pg_snapshot)
  ORDER BY seq LIMIT $4`
export const FORGET = `DELETE FROM meshstore_consumers WHERE kept_until < $1 AND name <> '${WHOLE}'`
export const NO_CONSUMER = `(name = '${WHOLE}' OR name LIKE '${BEAT}%')`
/** Deletes beats that no position can name any more: a consumer only moves on to later beats. */
export const FORGET_BEATS = `DELETE FROM meshstore_consumers WHERE name LIKE '${BEAT}%'
  AND pg_snapshot_xmin(position::pg_snapshot)::text::bigint < (
    SELECT min(pg_snapshot_xmin(beats.position::pg_snapshot)::text::bigint) FROM meshstore_consumers AS beats
    JOIN meshstore_consumers AS readers ON beats.name = '${BEAT}' || split_part(readers.position, '/', 4))`
export const MOVE_TO = 'UPDATE meshstore_consumers SET position = $1 WHERE name = $2'
export const LEAST = `SELECT min(pg_snapshot_xmin(split_part(position, '/', 1)::pg_snapshot)::text::bigint)::text
  FROM meshstore_consumers WHERE name <> '${WHOLE}'`
