/** The record in the file that says that it is being moved, and where to. */
import { forget, note, noteIn } from '../../database/sqlite/notes.ts'
import type { SqliteDatabase } from '../../database/sqlite/sqlite-database.ts'
import { StorageError } from '../../errors.ts'
import { remembered } from '../../repositories/state.ts'
import { consumerOf, MOVE, type MoveRecord } from './progress.ts'

export async function readMove(file: SqliteDatabase): Promise<MoveRecord | undefined> {
  const found = await remembered(file, MOVE)
  return found && (JSON.parse(found.value) as MoveRecord)
}

/** Returns the move that is under way, or records a new one. Throws CONFIG if the file moves elsewhere. */
export async function beginMove(file: SqliteDatabase, to: string, at: Date): Promise<MoveRecord> {
  return file.onWriter(({ raw }) => {
    const value = noteIn(raw, MOVE)
    if (value !== undefined) {
      const move = JSON.parse(value) as MoveRecord
      assertSameTarget(move, to)
      return move
    }
    const move: MoveRecord = { id: crypto.randomUUID(), to }
    note(raw, MOVE, JSON.stringify(move), at)
    return move
  })
}

/** Throws CONFIG if the move has another target. */
export function assertSameTarget(move: MoveRecord, to: string): void {
  if (move.to === to) return
  throw new StorageError(
    'CONFIG',
    `The data is being moved to ${move.to}, not to ${to}. Nothing was changed. Go on with that move, or abort it first.`,
  )
}

/** Removes the record and the move's consumer of the log. */
export async function abandonMove(file: SqliteDatabase, move: MoveRecord): Promise<void> {
  await file.changeLog.end(consumerOf(move))
  await file.onWriter(({ raw }) => forget(raw, MOVE))
}
