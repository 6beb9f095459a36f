/** Persistent state of a move: a move that was killed at any point can continue. */
import type { LogPosition } from '../../database/session.ts'
import type { TableName } from '../../schema/tables.ts'

/** In meshstore_state, the row of both databases. */
export const MOVE = 'move' as const

/** In the file: that it is being moved. The file itself says when it has been: see fence.ts. */
export interface MoveRecord {
  readonly id: string
  /** Host, port and database. */
  readonly to: string
}

/**
 * In the target, written in the transaction of what it tells of. Until `done` the target is a copy that may be behind: whoever opens
 * it is refused.
 */
export interface Progress extends LogPosition {
  readonly id: string
  readonly phase: 'copying' | 'following' | 'ready' | 'done'
  /** The last row that was copied; of no meaning afterwards. */
  readonly table: TableName
  readonly key: string | null
}

/** In the file's log of changes. */
export const consumerOf = ({ id }: MoveRecord): string => `move:${id}`
