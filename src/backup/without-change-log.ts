import { openConnection } from '../database/sqlite/connection.ts'
import { hasTable } from '../migrator/sqlite-file.ts'

/**
 * Takes the log of changes, and whoever reads it, out of a file that nobody else has open. What is written to a copy is not what is
 * written to the original: a token of the one must not be good for the other, where it would miss changes and not know. For the same
 * reason a move of the original is none of the copy.
 */
export function forgetChanges(file: string): void {
  const raw = openConnection(file, { readOnly: false })
  try {
    // An earlier version's has none.
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
  } finally {
    raw.close()
  }
}
