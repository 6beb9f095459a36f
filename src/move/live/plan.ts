/** Plan of a live move, and the state of one under way. */
import { type PostgresTarget, placeOf } from '../../database/postgres/url.ts'
import { seqOf } from '../../database/sqlite/change-log.ts'
import type { SqliteDatabase } from '../../database/sqlite/sqlite-database.ts'
import { inspect } from '../../open/migrate.ts'
import { snapshotOf } from '../../rows/sqlite-source.ts'
import { readMove } from './move-record.ts'
import type { Progress } from './progress.ts'
import { MoveTarget } from './target.ts'

export interface MovePlan {
  /** The file's absolute path. */
  readonly from: string
  /** Host, port and database. */
  readonly to: string
  /** By the tables' names. */
  readonly rows: Readonly<Record<string, number>>
  readonly bytes: number
  /** Migrations to apply to the target. */
  readonly migrations: readonly string[]
  /** Continues a move to this target that was stopped. */
  readonly resumes: boolean
}

export async function planOf(
  file: SqliteDatabase,
  url: string,
  to: PostgresTarget,
  busyTimeoutMs: number,
): Promise<MovePlan> {
  const rows = await file.withSnapshot('a move', async ({ raw }) => {
    const snapshot = snapshotOf(raw, { asStored: true })
    const counts = new Map<string, number>()
    for (const table of (await snapshot.tables()).tables) counts.set(table.name, await snapshot.count(table))
    return Object.fromEntries(counts)
  })
  const { bytes } = await file.size()
  const { pending } = await inspect(url, busyTimeoutMs)
  const resumes = (await readMove(file)) !== undefined
  return { from: file.path, to: placeOf(to), rows, bytes, migrations: pending, resumes }
}

export interface MoveStatus {
  readonly state: 'none' | 'under way' | 'moved'
  readonly id?: string
  readonly to?: string
  /** Phase that the target records; `undefined` if its URL was not given, or it has no record of the move. */
  readonly phase?: Progress['phase']
  /** Changes in the file's log that the target does not have yet. */
  readonly lag?: number
}

export async function statusOf(
  file: SqliteDatabase,
  to: PostgresTarget | undefined,
  busyTimeoutMs: number,
): Promise<MoveStatus> {
  const moved = file.movedTo()
  const move = moved ?? (await readMove(file))
  if (move === undefined) return { state: 'none' }
  const state = moved === undefined ? 'under way' : 'moved'
  const progress = to && (await progressIn(to, busyTimeoutMs))
  const known = progress?.id === move.id ? progress : undefined
  return {
    state,
    ...move,
    ...(known && { phase: known.phase }),
    ...(known && moved === undefined && { lag: await lagBehind(file, known) }),
  }
}

/** Reads without the mover's lock: a mover may be running. */
async function progressIn(to: PostgresTarget, busyTimeoutMs: number): Promise<Progress | undefined> {
  await using target = await MoveTarget.open(to, busyTimeoutMs, { alone: false })
  return await target.progress()
}

const lagBehind = (file: SqliteDatabase, { position }: Progress): Promise<number> =>
  file.onReader(({ raw }) =>
    Number(
      raw
        .prepare<[number], number>('SELECT count(*) FROM meshstore_changes WHERE seq > ?')
        .pluck()
        .get(seqOf(position)),
    ),
  )
