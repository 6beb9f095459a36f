/** Checks and opens the database that a file's data has moved to. */
import type { Session } from '../../database/session.ts'
import { StorageError } from '../../errors.ts'
import { remember, remembered } from '../../repositories/state.ts'
import { MOVE, type Progress } from './progress.ts'

const progressOf = async (session: Session): Promise<Progress | undefined> => {
  const found = await remembered(session, MOVE)
  return found && (JSON.parse(found.value) as Progress)
}

/** A database that a move fills is behind its file. Throws CONFIG. */
export async function assertNotMoveTarget(session: Session): Promise<void> {
  const progress = await progressOf(session).catch((error) => {
    // Tables or rights are missing: the caller's first statement reports it.
    if (error instanceof StorageError && (error.code === 'SCHEMA_MISMATCH' || error.code === 'CONFIG')) return undefined
    throw error
  })
  if (progress === undefined || progress.phase === 'done') return
  throw new StorageError(
    'CONFIG',
    'A move into this database is under way, or was stopped. Nothing was written, since it may be behind the file. Finish the move with meshstore move --resume, or abort it with --abort.',
  )
}

/** Throws CONFIG if the data has not moved to this database. Records the success of a mover that ended too early. */
export async function assertArrived(
  session: Session,
  id: string,
  { readOnly, now }: { readOnly: boolean; now: () => Date },
): Promise<void> {
  const progress = await progressOf(session)
  if (progress?.id !== id)
    throw new StorageError(
      'CONFIG',
      'The successor is not the database that the data has moved to. Nothing was written. Correct the option successor.',
    )
  if (progress.phase === 'done' || readOnly) return
  await remember(session, { name: MOVE, value: JSON.stringify({ ...progress, phase: 'done' }), updatedAt: now() })
}
