/** Persistent state of a move: a move that was killed at any point can continue. */
import type { LogPosition } from '../../database/session.ts'

/** Name of the row in `meshstore_state`, in both databases. */
export const MOVE = 'move' as const

/** The file's row: a move is under way. After the cutover, the fence records the move instead (see fence.ts). */
export interface MoveRecord {
  readonly id: string
  /** Host, port and database. */
  readonly to: string
}

/**
 * The target's row, written in the same transaction as the data. Until `done` the target is a copy that may be behind, and no store
 * opens it.
 */
export interface Progress extends LogPosition {
  readonly id: string
  readonly phase: 'copying' | 'following' | 'ready' | 'done'
  /** Table and key of the last copied row. Unused after the copy. */
  readonly table: string
  readonly key: string | null
}

/** Name of the move's consumer in the file's change log. */
export const consumerOf = ({ id }: MoveRecord): string => `move:${id}`
