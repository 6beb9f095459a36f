/** The live move: copy, follow, verify, cutover. A move that was killed in any step can continue. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { MoveOptions, MoveProgress } from '../../api.ts'
import { movedError } from '../../database/sqlite/fence.ts'
import type { SqliteDatabase } from '../../database/sqlite/sqlite-database.ts'
import { StorageError } from '../../errors.ts'
import { performance } from '../../event-loop.ts'
import { invalidationState } from '../../path-cache/invalidation-statements.ts'
import { sweepInvalidated } from '../../path-cache/sweeper.ts'
import { type Content, eachTable } from '../../rows/content-hash.ts'
import { contentIn } from '../../rows/send.ts'
import { countAll, SLICE_ROWS, type Snapshot } from '../../rows/source.ts'
import { snapshotOf } from '../../rows/sqlite-source.ts'
import type { Table } from '../../schema/tables.ts'
import { cutOver, Postponed } from './cutover.ts'
import type { MovedTables } from './moved-tables.ts'
import { consumerOf, type MoveRecord, type Progress } from './progress.ts'
import {
  assertMovable,
  atOneMoment,
  type ChangeBatch,
  type Changes,
  type Chunk,
  chunkAfter,
  followed,
  joined,
  logLost,
} from './source.ts'
import { apply, assertApplied, isRefused, type MoveTarget } from './target.ts'

/** Entries of the log in one transaction of the target. */
const BATCH = 1_000
/** More entries than a log has. */
const WHOLE_LOG = 1_000_000
/** The mover tries the cutover when fewer changes are left. */
const SMALL_LAG = 100
/** Interval, in milliseconds, for following the log during the copy, and for renewing the consumer. */
const FOLLOW_EVERY_MS = 2_000
/** The log is kept for a day after a move was killed. */
export const logKeptUntil = (at: Date): Date => new Date(at.getTime() + 86_400_000)
/** Pauses between attempts at the cutover, in milliseconds. */
const PAUSES_MS = [50, 100, 250, 500, 1_000]
const DEFAULT_MAX_PAUSE_MS = 250

export interface MoveContext {
  readonly move: MoveRecord
  readonly file: SqliteDatabase
  readonly target: MoveTarget
  readonly options: MoveOptions
  readonly known: MovedTables
  readonly now: () => Date
}

export interface Done {
  readonly contents: Content
  readonly followed: number
  readonly attempts: number
  readonly pauseMs: number
}

export class Mover {
  readonly #context: MoveContext
  #progress: Progress
  #followed = 0
  #renewAt = 0

  constructor(context: MoveContext, progress: Progress) {
    this.#context = context
    this.#progress = progress
  }

  async run(): Promise<Done> {
    if (this.#progress.phase === 'copying') await this.#copy()
    await this.#context.target.analyze(this.#context.known.tables)
    await this.#follow()
    const contents = await this.#verify()
    const switched = await this.#switch()
    return { contents, followed: this.#followed, ...switched }
  }

  #report(step: MoveProgress['step'], done: number, total?: number): void {
    this.#context.options.signal?.throwIfAborted()
    this.#context.options.onProgress?.({ step, done, total })
  }

  /** Copies rows in their current state. The log, which began earlier, has every later change. */
  async #copy(): Promise<void> {
    const { file, known } = this.#context
    const { tables } = known
    const total = await file.withSnapshot('a move', ({ raw }) => countAll(snapshotOf(raw, { asStored: true }), tables))
    let copied = 0
    let followAt = performance.now() + FOLLOW_EVERY_MS
    const from = tables.findIndex(({ name }) => name === this.#progress.table)
    for (const table of tables.slice(Math.max(0, from))) {
      let after = table.name === this.#progress.table ? (this.#progress.key ?? undefined) : undefined
      for (let limit = SLICE_ROWS / 4, more = true; more; ) {
        this.#report('copying', copied, total)
        const chunk = await this.#copyChunk(table, after, limit)
        after = chunk.last ?? after
        limit = chunk.limit
        more = chunk.more
        copied += chunk.rows
        if (performance.now() < followAt) continue
        await this.#followOnce()
        followAt = performance.now() + FOLLOW_EVERY_MS
      }
    }
    await this.#write({ ...this.#progress, phase: 'following' }, { changed: [], parents: [] })
  }

  /** Writes the progress and the changes in one transaction. */
  async #write(next: Progress, changes: Changes): Promise<void> {
    await this.#context.target.advance(this.#progress, next, async (ask) => {
      const left = await apply(ask, this.#context.known, changes)
      // `#verify` compares the copied rows. Changes that are followed after it are compared here.
      if (next.phase !== 'copying') await assertApplied(ask, changes.changed, left)
    })
    this.#progress = next
  }

  /** Follows the log until the lag is small, or no longer shrinks. */
  async #follow(): Promise<void> {
    for (let last = Number.POSITIVE_INFINITY; ; ) {
      const count = await this.#followOnce()
      this.#report('following', this.#followed)
      if (count < SMALL_LAG || (count < BATCH && count >= last)) return
      last = count
    }
  }

  /**
   * A constraint refuses the chunk while a row that was copied before has what is unique to one of the chunk now. The log
   * tells of its change: as of one moment, all of it and the chunk keep every constraint.
   */
  async #copyChunk(table: Table, after: string | undefined, limit: number): Promise<Chunk> {
    const { file, known } = this.#context
    const at = (chunk: Chunk) => ({ ...this.#progress, table: table.name, key: chunk.last ?? after ?? null })
    const chunk = await file.onReader(({ raw }) =>
      atOneMoment(raw, () => chunkAfter(raw, known, table, { after, limit })),
    )
    try {
      await this.#write(at(chunk), chunk)
      return chunk
    } catch (error) {
      if (!isRefused(error)) throw error
    }
    const [rest, again] = await file.onReader(({ raw }) =>
      atOneMoment(
        raw,
        () =>
          [
            followed(raw, known, this.#progress.position, WHOLE_LOG),
            chunkAfter(raw, known, table, { after, limit }),
          ] as const,
      ),
    )
    await this.#write({ ...at(again), position: rest.position }, joined(known, rest, again))
    this.#followed += rest.count
    return again
  }

  async #followOnce(): Promise<number> {
    const { file, known } = this.#context
    const count = await this.#takeNext((most) =>
      file.onReader(({ raw }) => atOneMoment(raw, () => followed(raw, known, this.#progress.position, most))),
    )
    await this.#renew()
    return count
  }

  /** A part of the log may be refused by a constraint that all of it keeps. */
  async #takeNext(next: (limit: number) => ChangeBatch | Promise<ChangeBatch>): Promise<number> {
    const rest = await next(BATCH)
    try {
      await this.#take(rest)
      return rest.count
    } catch (error) {
      if (rest.count < BATCH || !isRefused(error)) throw error
    }
    const all = await next(WHOLE_LOG)
    await this.#take(all)
    return all.count
  }

  async #take(rest: ChangeBatch): Promise<void> {
    if (rest.count === 0) return
    await this.#write({ ...this.#progress, position: rest.position }, rest)
    this.#followed += rest.count
  }

  /** Renews the consumer, and prunes the log before its position. */
  async #renew(): Promise<void> {
    const now = performance.now()
    if (now < this.#renewAt) return
    this.#renewAt = now + FOLLOW_EVERY_MS
    const { file, move } = this.#context
    const at = this.#context.now()
    if (!(await file.changeLog.renew(consumerOf(move), logKeptUntil(at), this.#progress))) throw logLost()
    await file.changeLog.prune(at)
  }

  /** Compares all rows of both databases at one snapshot of the file. */
  async #verify(): Promise<Content> {
    const { file, target, known } = this.#context
    return file.withSnapshot('a move', async ({ raw }, ended) => {
      for (let count = BATCH; count === BATCH; ) {
        count = await this.#takeNext((most) => followed(raw, known, this.#progress.position, most))
      }
      const here = snapshotOf(raw, { asStored: true, ended })
      const total = 2 * (await countAll(here, known.tables))
      return target.snapshot((there) => this.#compare(here, there, total))
    })
  }

  async #compare(here: Snapshot, there: Snapshot, total: number): Promise<Content> {
    let done = 0
    const look = ({ length }: { readonly length: number }): void => {
      done += length
      this.#report('verifying', done, total)
    }
    return eachTable(this.#context.known.tables, async (table) => {
      const sent = await contentIn(here, table, (slice) => {
        assertMovable(table, slice)
        look(slice)
      })
      const arrived = await contentIn(there, table, look)
      if (sent.rows !== arrived.rows || sent.sha256 !== arrived.sha256) throw differs(table.name)
      return sent
    })
  }

  async #switch(): Promise<Pick<Done, 'attempts' | 'pauseMs'>> {
    for (let attempts = 1; ; attempts++) {
      this.#report('switching', attempts)
      await this.#sweep()
      await this.#follow()
      const pauseMs = await this.#attempt()
      if (pauseMs !== undefined) return { attempts, pauseMs }
      await sleep(PAUSES_MS[Math.min(attempts, PAUSES_MS.length) - 1])
    }
  }

  /** Sweeps invalidated paths: writers wait while the cutover carries over the rest. */
  async #sweep(): Promise<void> {
    const session = this.#context.file
    const state = await session.readOne(invalidationState, {})
    if (!state?.isAnyPending) return
    await sweepInvalidated(session, { position: state.position, earlierWritersEnded: async () => true })
  }

  /** Returns how long writers waited, in milliseconds; `undefined` if the mover must try again. */
  async #attempt(): Promise<number | undefined> {
    const { file, move, target, options, known, now } = this.#context
    const maxPauseMs = options.maxPauseMs ?? DEFAULT_MAX_PAUSE_MS
    let begun = performance.now()
    try {
      await file.exclusively(async (raw) => {
        begun = performance.now()
        options.signal?.throwIfAborted()
        const moved = file.movedTo()
        if (moved !== undefined) throw movedError(moved)
        this.#progress = await cutOver(raw, { move, target, known, progress: this.#progress, maxPauseMs, now })
      })
      return performance.now() - begun
    } catch (error) {
      if (error instanceof Postponed) await error.answered
      else if (!(error instanceof StorageError) || error.code !== 'BUSY') throw error
      // The target may have committed the attempt: its own record decides.
      this.#progress = (await target.progress()) ?? this.#progress
      return undefined
    }
  }

  /** Marks the target as authoritative, after the file was fenced. */
  async finish(): Promise<void> {
    await this.#context.target.advance(this.#progress, { ...this.#progress, phase: 'done' }, async () => {})
  }
}

const differs = (table: string): StorageError =>
  new StorageError(
    'CONFLICT',
    `The rows in ${table} of the target are not those of the file. Nothing was switched. Check that nothing else writes to the target, run meshstore check on the file, then meshstore move --abort.`,
  )
