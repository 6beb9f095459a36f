import { openConnection } from '../database/sqlite/raw-connection.ts'
import { hasTable } from '../migrator/sqlite-file.ts'

/**
 * Removes the change log and its subscribers from a copy that no other connection has open. The copy and the original diverge: a
 * resume token of one must not be valid in the other, where its subscriber would miss changes. For the same reason the copy does not
 * keep the record of a live move of the original.
 */
export function forgetChanges(file: string): void {
  using raw = openConnection(file, { readOnly: false })
  // A copy of an earlier schema version has no change log.
  if (!hasTable(raw, 'meshstore_changes')) return
  const isUsed = raw.prepare(
    `SELECT 1 FROM meshstore_state WHERE name IN ('change_log', 'move') UNION ALL SELECT 1 FROM meshstore_consumers
     UNION ALL SELECT 1 FROM meshstore_changes LIMIT 1`,
  )
  if (isUsed.get() === undefined) return
  raw.exec(`BEGIN IMMEDIATE;
    DELETE FROM meshstore_state WHERE name IN ('change_log', 'move');
    DELETE FROM meshstore_consumers;
    DELETE FROM meshstore_changes;
    COMMIT`)
}
