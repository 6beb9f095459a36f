/** Cutover: while no process can write to the file, the mover sends the rest of its log to the target, then fences the file. */

import type Sqlite from 'better-sqlite3'
import { WHOLE } from '../../database/postgres/change-log.ts'
import { note } from '../../database/postgres/notes.ts'
import type { Ask } from '../../database/postgres/single.ts'
import { LOG } from '../../database/sqlite/change-log.ts'
import { type Moved, raiseFence } from '../../database/sqlite/fence.ts'
import { IS_VALID } from '../../database/sqlite/invalidations.ts'
import { forget, noteIn } from '../../database/sqlite/notes.ts'
import { performance } from '../../event-loop.ts'
import { type DatabaseTables, ownOf } from '../../rows/own-tables.ts'
import { TABLES } from '../../schema/tables.ts'
import { assertDrained } from './change-capture.ts'
import { assertSameTables, type MovedTables } from './moved-tables.ts'
import { consumerOf, MOVE, type MoveRecord, type Progress } from './progress.ts'
import { type ChangeBatch, currentOf, followed, type TableChange } from './source.ts'
import { apply, assertApplied, type MoveTarget } from './target.ts'

/** The most changes that a cutover sends within its pause. The mover follows the log until fewer are left. */
const MOST_CHANGES = 2_000
/** The target's part of the pause. The rest is for the file's own commit. */
const PART_FOR_TARGET = 0.7

/** The cutover would take too long. Writes to the file go on; the mover tries again when the target has answered. */
export class Postponed extends Error {
  readonly answered: Promise<unknown>

  constructor(answered: Promise<unknown> = Promise.resolve()) {
    super('The switch would have written too long.')
    this.answered = answered.catch(() => {})
  }
}

interface Cutover {
  readonly move: MoveRecord
  readonly target: MoveTarget
  readonly known: MovedTables
  readonly progress: Progress
  readonly maxPauseMs: number
  readonly now: () => Date
}

/** State beside the tables' rows that the cutover carries over. */
interface CarriedState {
  readonly invalidation: string | undefined
  /** Invalidations whose paths have not been deleted yet. */
  readonly invalidations: readonly (readonly [string | null, string | null, string | null, number])[]
  /** Paths that were stored after these invalidations. */
  readonly newerPaths: TableChange
  /** The subscribers of the change log. */
  readonly consumers: readonly (readonly [string, number])[]
}

/**
 * Runs in a transaction that excludes other writers of the file. The caller's commit is the cutover. If this throws (`Postponed`,
 * or another error), the file stays authoritative and the target stays a copy.
 */
export async function cutOver(raw: Sqlite.Database, cutover: Cutover): Promise<Progress> {
  const { move, target, known, progress, maxPauseMs, now } = cutover
  const deadline = performance.now() + maxPauseMs * PART_FOR_TARGET
  assertSameTables(raw, known)
  const rest = followed(raw, known, progress.position, MOST_CHANGES)
  const carried = carriedStateOf(raw, move)
  if (rest.count >= MOST_CHANGES || carried.newerPaths.rows.length >= MOST_CHANGES) throw new Postponed()
  const ready: Progress = { ...progress, phase: 'ready', position: rest.position }
  const written = target.advance(progress, ready, (ask) => writeRest(ask, known, rest, carried, now()))
  await within(deadline, written)
  assertDrained(raw, move, ready, known.tables)
  raiseFence(raw, move satisfies Moved, now(), ownNames(known))
  raw.prepare('DELETE FROM meshstore_consumers WHERE name = ?').run(consumerOf(move))
  forget(raw, MOVE)
  return ready
}

const ownNames = ({ tables }: DatabaseTables): string[] => ownOf(tables).map(({ name }) => name)

async function within(deadline: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Postponed(work)), Math.max(0, deadline - performance.now()))
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function carriedStateOf(raw: Sqlite.Database, move: MoveRecord): CarriedState {
  const invalidations = raw
    .prepare<[], [string | null, string | null, string | null, number]>(
      'SELECT source, destination, through, marked_at FROM path_cache_marks WHERE swept = 0 ORDER BY id',
    )
    .raw()
    .all()
  // A path without a seen position is older than all invalidations.
  const newerPaths = raw
    .prepare<[number], string>(
      `SELECT cache_key FROM path_cache WHERE cache_key IN (SELECT cache_key FROM path_cache_stamps) AND ${IS_VALID} LIMIT ?`,
    )
    .pluck()
    .all(invalidations.length > 0 ? MOST_CHANGES : 0)
  const consumers = raw
    .prepare<[string], [string, number]>('SELECT name, kept_until FROM meshstore_consumers WHERE name <> ?')
    .raw()
    .all(consumerOf(move))
  return {
    invalidation: noteIn(raw, 'path_cache_invalidation'),
    invalidations,
    newerPaths: currentOf(raw, TABLES.pathCache, newerPaths),
    consumers,
  }
}

/** Runs in a transaction of the target. */
async function writeRest(
  ask: Ask,
  known: DatabaseTables,
  rest: ChangeBatch,
  carried: CarriedState,
  at: Date,
): Promise<void> {
  await apply(ask, known, rest)
  // All is followed: nothing is referred to any more that is to be deleted.
  await assertApplied(ask, rest.changed)
  // An earlier attempt may have left rows.
  await ask('DELETE FROM path_cache_marks')
  await ask('DELETE FROM path_cache_stamps')
  await ask('DELETE FROM meshstore_changes')
  await ask('DELETE FROM meshstore_consumers')
  await ask("DELETE FROM meshstore_state WHERE name IN ('change_log', 'path_cache_invalidation')")
  await carryInvalidations(ask, known, carried)
  if (carried.invalidation !== undefined) await note(ask, 'path_cache_invalidation', carried.invalidation, at)
  await carryConsumers(ask, carried, at)
}

/** The paths come after the invalidations: the triggers then record that each path was stored after them. */
async function carryInvalidations(
  ask: Ask,
  known: DatabaseTables,
  { invalidations, newerPaths }: CarriedState,
): Promise<void> {
  if (invalidations.length === 0) return
  const columns = [0, 1, 2, 3].map((index) => invalidations.map((invalidation) => invalidation[index]))
  await ask(
    `INSERT INTO path_cache_marks (source, destination, through, marked_at)
     SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::double precision[])`,
    columns,
  )
  await apply(ask, known, { changed: [newerPaths], parents: [] })
}

/** Runs last: subscribers do not get the move's own writes as changes. */
async function carryConsumers(ask: Ask, { consumers }: CarriedState, at: Date): Promise<void> {
  if (consumers.length === 0) return
  // This log gets its own name, so that resume tokens of the file's log are refused.
  await note(ask, LOG, crypto.randomUUID(), at)
  // Low-water mark: every transaction on the target began after the log, so all of them write to it.
  await ask('INSERT INTO meshstore_consumers (name, position, kept_until) VALUES ($1, $2, $3)', [
    WHOLE,
    '0',
    Number.MAX_SAFE_INTEGER,
  ])
  for (const [name, keptUntil] of consumers)
    await ask(
      `INSERT INTO meshstore_consumers (name, position, kept_until) VALUES ($1, pg_current_snapshot()::text, $2)`,
      [name, keptUntil],
    )
}
