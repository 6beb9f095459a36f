/** Live move of a file that is in use, by the process that serves from it or by another one. */
import type { MoveOptions, MoveProgress, MoveReport, OtherData } from '../../api.ts'
import { isServerLost } from '../../database/postgres/errors.ts'
import { type PostgresTarget, placeOf } from '../../database/postgres/url.ts'
import { movedError } from '../../database/sqlite/fence.ts'
import type { SqliteDatabase } from '../../database/sqlite/sqlite-database.ts'
import { StorageError } from '../../errors.ts'
import { machineTime } from '../../event-loop.ts'
import { migrationsOf } from '../../migrator/migrations.ts'
import { up } from '../../open/migrate.ts'
import { assertNoOthers } from '../../rows/other-data.ts'
import { snapshotOf } from '../../rows/sqlite-source.ts'
import { type MoveEvent, moveTracing, tracePromise } from '../../tracing.ts'
import { tablesAt } from '../../transfer/tables.ts'
import { assertNoOrphans, checkRows } from '../copy.ts'
import { assertEmpty } from '../preflight.ts'
import { assertLogging } from './change-capture.ts'
import { abandonMove, assertSameTarget, beginMove, readMove } from './move-record.ts'
import { type MovedTables, movedTables } from './moved-tables.ts'
import { logKeptUntil, type MoveContext, Mover } from './mover.ts'
import { consumerOf, type MoveRecord, type Progress } from './progress.ts'
import { empty, MoveTarget } from './target.ts'

export interface LiveMove {
  readonly file: SqliteDatabase
  /** The target as a URL; `to` is the same, parsed. */
  readonly url: string
  readonly to: PostgresTarget
  readonly busyTimeoutMs: number
  readonly options: MoveOptions
  /** Called when the target is up to date and belongs to the move. A store opens it now, ready for the cutover. */
  readonly onReady?: () => Promise<void>
  /** Default: the machine's clock. Other processes compare the log's leases with theirs. */
  readonly now?: () => Date
}

export async function moveLive(live: LiveMove): Promise<MoveReport> {
  return tracePromise<MoveEvent, MoveReport>(moveTracing, { step: 'checking', rows: 0 }, async (event) => {
    const onProgress = (progress: MoveProgress): void => {
      event.step = progress.step
      if (progress.step === 'copying') event.rows = progress.done
      live.options.onProgress?.(progress)
    }
    const report = await move({ ...live, options: { ...live.options, onProgress } })
    const { followed, attempts, pauseMs } = report
    Object.assign(event, { followed, attempts, pauseMs, rows: rowsOf(report) })
    return report
  })
}

async function move(live: LiveMove): Promise<MoveReport> {
  const { file, url, to, busyTimeoutMs, options, onReady, now = machineTime } = live
  const { leftBehind, known } = await checkMove(live)
  const before = await readMove(file)
  if (before === undefined) await assertEmpty(url, busyTimeoutMs)
  else assertSameTarget(before, placeOf(to))
  const { applied } = await up(url, { busyTimeoutMs, backup: false })
  await using target = await MoveTarget.open(to, busyTimeoutMs)
  try {
    options.signal?.throwIfAborted()
    // Another mover may have finished while this one waited for the lock.
    assertNotMoved(file)
    const found = await target.progress()
    assertOurs(found, before)
    const move = await beginMove(file, placeOf(to), now())
    const progress = await startOrResume({ file, target, move, known, now }, found)
    await onReady?.()
    const mover = new Mover({ file, target, move, options, known, now }, progress)
    const { contents, ...done } = await mover.run()
    // The cutover is done. If this fails, the next store that opens the file records the success.
    await mover.finish().catch(() => {})
    const migrated = applied.map(({ tag }) => tag)
    return {
      id: move.id,
      to: move.to,
      ...contents,
      ...(leftBehind.length > 0 && { leftBehind }),
      ...done,
      migrated,
    }
  } catch (error) {
    // Another error is the caller's: the reason of its signal, or of its callback.
    throw error instanceof StorageError && isServerLost(error) ? stopped(error) : error
  }
}

const rowsOf = ({ tables, ownTables = {} }: MoveReport): number =>
  [...Object.values(tables), ...Object.values(ownTables)].reduce((sum, { rows }) => sum + rows, 0)

/** The move's lock is its session's. */
const stopped = (error: StorageError): StorageError =>
  new StorageError(
    'UNAVAILABLE',
    `The connection to the target was lost, and with it the lock of the move, which stopped where it was. Nothing was lost. Go on with meshstore move --resume, or moveTo(). ${error.message}`,
    { cause: error instanceof Error ? error.cause : error },
  )

function assertNotMoved(file: SqliteDatabase): void {
  const moved = file.movedTo()
  if (moved !== undefined) throw movedError(moved)
}

/** The tables that a move takes along, and the data that it leaves behind. */
export interface MoveCheck {
  readonly known: MovedTables
  readonly leftBehind: readonly OtherData[]
}

/** Preflight check of the file and all its rows. */
export async function checkMove({
  file,
  url,
  busyTimeoutMs,
  options,
}: Omit<LiveMove, 'to' | 'onReady'>): Promise<MoveCheck> {
  assertNotMoved(file)
  const version = await file.schemaVersion()
  if (version !== migrationsOf('sqlite').at(-1)?.tag)
    throw new StorageError(
      'SCHEMA_MISMATCH',
      `The file has another schema (${version}) than this version works with. Nothing was changed. Run meshstore migrate up first.`,
    )
  return file.withSnapshot('a move', async ({ raw }, ended) => {
    const ignored = options.ignoreOtherTables
    const snapshot = snapshotOf(raw, { asStored: true, ended })
    const others = assertNoOthers(await snapshot.others(), ignored)
    const { known, leftBehind } = await movedTables(raw, () => tablesAt(url, busyTimeoutMs), ignored)
    assertLogging(raw, known.tables)
    await assertNoOrphans(snapshot, known.tables)
    await checkRows(
      snapshot,
      known.tables,
      {
        options: {
          signal: options.signal,
          ...(options.onProgress && {
            onProgress: ({ step, done, total }) => step === 'checking' && options.onProgress?.({ step, done, total }),
          }),
        },
        dialects: { from: 'sqlite', to: 'postgresql' },
        advice: 'Correct or delete them.',
      },
      undefined,
    )
    return { known, leftBehind: [...others, ...leftBehind] }
  })
}

/** Throws CONFIG for a target of another move, or of one that has arrived. */
function assertOurs(found: Progress | undefined, move: MoveRecord | undefined): void {
  if (found === undefined) return
  if (found.id === move?.id) {
    assertUnderWay(found)
    return
  }
  throw new StorageError(
    'CONFIG',
    `The target belongs to another move (${found.id}). Nothing was changed. Abort that move with its own file, or use another database.`,
  )
}

/** Throws CONFIG if the move is done: this file is an older copy, and the target is authoritative. It must not be emptied. */
function assertUnderWay(found: Progress): void {
  if (found.phase !== 'done') return
  throw new StorageError(
    'CONFIG',
    `The move has arrived in the target (${found.id}), and this file is an older copy that does not know it. Nothing was changed. Open the target.`,
  )
}

/** Begins the move, or continues it where it was stopped. */
async function startOrResume(
  { file, target, move, known, now }: Omit<MoveContext, 'options'>,
  found: Progress | undefined,
): Promise<Progress> {
  const consumer = consumerOf(move)
  const at = now()
  const keptUntil = logKeptUntil(at)
  if (found !== undefined && (await file.changeLog.resume(consumer, keptUntil, found))) return found
  // The log begins before the first row is read: it has every later change.
  const position = await file.changeLog.begin(consumer, keptUntil)
  const progress: Progress = {
    id: move.id,
    ...position,
    phase: 'copying',
    table: known.tables[0]?.name ?? '',
    key: null,
  }
  await target.begin(progress, known.tables, at)
  return progress
}

/** Restores the file's state, and empties the target. Throws CONFIG if no move is under way, MOVED after the cutover. */
export async function abortMove(
  file: SqliteDatabase,
  to: PostgresTarget | undefined,
  busyTimeoutMs: number,
): Promise<MoveRecord> {
  const moved = file.movedTo()
  if (moved !== undefined)
    throw new StorageError(
      'MOVED',
      `The switch has been made, and the data is in PostgreSQL at ${moved.to}. Nothing was changed. Copy it back with meshstore copy.`,
    )
  const move = await readMove(file)
  if (move === undefined)
    throw new StorageError(
      'CONFIG',
      'No move of this file is under way. Nothing was changed. Run meshstore move to begin one.',
    )
  if (to !== undefined) await emptyTarget(file, to, move, busyTimeoutMs)
  await abandonMove(file, move)
  return move
}

async function emptyTarget(
  file: SqliteDatabase,
  to: PostgresTarget,
  move: MoveRecord,
  busyTimeoutMs: number,
): Promise<void> {
  if (placeOf(to) !== move.to)
    throw new StorageError(
      'CONFIG',
      `The data is being moved to ${move.to}, not to ${placeOf(to)}. Nothing was changed. Give the URL of that database.`,
    )
  await using target = await MoveTarget.open(to, busyTimeoutMs)
  // The last mover's cutover may hold the file's lock. This write waits for it: then the file has moved (MOVED), or never will.
  await file.onWriter(() => undefined)
  const found = await target.progress()
  if (found?.id !== move.id) return
  assertUnderWay(found)
  const { tables } = await target.tables()
  await target.transaction((ask) => empty(ask, tables))
}
