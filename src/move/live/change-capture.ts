/** Checks of the change capture: the mover copies only changes that the file's log has, so a gap in the log loses data. */
import type Sqlite from 'better-sqlite3'
import { LOG, newest } from '../../database/sqlite/change-log.ts'
import { noteIn } from '../../database/sqlite/notes.ts'
import { StorageError } from '../../errors.ts'
import type { Table } from '../../schema/tables.ts'
import { logTriggers } from '../../schema/triggers.ts'
import { MOVE, type MoveRecord, type Progress } from './progress.ts'
import { logLost } from './source.ts'

/** Throws SCHEMA_MISMATCH if another program has dropped a trigger that logs changes. */
export function assertLogging(raw: Sqlite.Database, tables: readonly Table[]): void {
  const found = new Set(raw.prepare<[], string>("SELECT name FROM sqlite_schema WHERE type = 'trigger'").pluck().all())
  const missing = [...tables.flatMap(logTriggers), 'path_cache_marks_log'].filter((name) => !found.has(name))
  if (missing.length === 0) return
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `The file has lost triggers that log its changes: ${missing.join(', ')}. Later writes would not be moved, so nothing was switched. Run meshstore migrate repair, then meshstore move --resume.`,
  )
}

/** Call it while no other process can write, after the log was drained up to the progress. Throws CONFLICT if the move was aborted. */
export function assertDrained(
  raw: Sqlite.Database,
  move: MoveRecord,
  { log, position }: Progress,
  tables: readonly Table[],
): void {
  const found = noteIn(raw, MOVE)
  if (found === undefined || (JSON.parse(found) as MoveRecord).id !== move.id)
    throw new StorageError(
      'CONFLICT',
      'The move was aborted meanwhile. Nothing was switched. Run meshstore move again if you want it.',
    )
  // A log that was switched off for a moment misses changes, and its sequence numbers do not show it.
  if (noteIn(raw, LOG) !== log) throw logLost()
  if (newest(raw) !== position)
    throw new StorageError(
      'CONFLICT',
      'The file was written to after its log was drained. Nothing was switched. Run meshstore move --resume.',
    )
  assertLogging(raw, tables)
}
