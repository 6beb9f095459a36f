/** A subscription: the change stream of a database, as an async iterator. */
import type { Change, Changes, ChangesOptions } from '../api.ts'
import type { ChangeLog, Database, LoggedChange, LogPosition } from '../database/session.ts'
import { misuse, StorageError, type StorageErrorCode } from '../errors.ts'
import { machineTime, performance } from '../event-loop.ts'
import * as rules from '../schema/rules.ts'
import type { LogPoller } from './poller.ts'
import { changeOf, positionOf, tokenOf } from './tokens.ts'

/** Interval between two checks that the log still holds the stream's position, in milliseconds. */
const ANCHOR_MS = 1_000
/** Changes read by one query. */
const BATCH = 500
const DEFAULT_KEEP_SECONDS = 600
/** Renewals (heartbeats) within `keepSeconds`. */
const RENEWALS = 4

/** Abort reason: the caller ended the subscription. */
const LEFT = Symbol('left')

const RULES: rules.Rules = {
  after: (value) => (typeof value === 'string' ? undefined : 'must be a token'),
  keepSeconds: rules.isNumber(1, 604_800),
  signal: rules.isSignal,
}

const missed = (): StorageError =>
  new StorageError(
    'CHANGES_MISSED',
    'Changes were missed, since they are not kept any more or the database is another one. The data is complete. Subscribe anew, then read everything.',
  )

interface Reading {
  /** As pruning has it. */
  readonly now?: () => Date
  /** Keeps the registration when the store closes, so that the caller can resume with a token. Default: `true`. */
  readonly mayResume?: boolean
  /** Called with whether the caller currently reads from the stream. */
  readonly onReading?: (reads: boolean) => void
}

export class ChangeStream implements Changes {
  readonly #database: Database
  readonly #poller: LogPoller
  readonly #keepMs: number
  readonly #now: () => Date
  readonly #mayResume: boolean
  readonly #onReading: (reads: boolean) => void
  readonly #signal: AbortSignal | undefined
  readonly #consumer = crypto.randomUUID()
  readonly #after: LogPosition | undefined
  readonly #ended = new AbortController()
  /** Ends a pause early. Created once: a signal keeps each signal that is derived from it. */
  readonly #waking: AbortSignal
  readonly #leaving = Promise.withResolvers<void>()
  #log: ChangeLog
  #started: Promise<void> | undefined
  /** The caller's position: that of the last token. */
  #told: LogPosition = { log: '', position: '' }
  /** The caller's position at the last renewal; the next renewal sends it, so that slightly older tokens stay valid. */
  #known: LogPosition = this.#told
  #renewAt = 0
  #anchorAt = 0
  #batch: LoggedChange[] = []
  #next = 0
  /** The position after the batch. */
  #position = ''
  /** When the caller last had every change, by `performance.now()`. */
  #caughtUpAt = performance.now()
  #isWaiting = false
  /** Queues calls of `next()`: a caller may call it before the previous call settles. */
  #lastRead: Promise<unknown> = Promise.resolve()
  /** Calls of `next()` that have not settled. */
  #reads = 0

  constructor(
    database: Database,
    poller: LogPoller,
    options: ChangesOptions,
    { mayResume = true, onReading = () => {}, now = machineTime }: Reading = {},
  ) {
    rules.checkOptions('The options', RULES, options)
    this.#database = database
    this.#poller = poller
    this.#mayResume = mayResume
    this.#now = now
    this.#onReading = onReading
    this.#log = database.changeLog
    this.#keepMs = Math.round((options.keepSeconds ?? DEFAULT_KEEP_SECONDS) * 1_000)
    this.#signal = options.signal
    this.#waking = this.#signal === undefined ? this.#ended.signal : AbortSignal.any([this.#ended.signal, this.#signal])
    this.#after = options.after === undefined ? undefined : positionOf(options.after)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** How long ago the caller last had every change, in seconds. */
  get behindSeconds(): number {
    return this.#isWaiting ? 0 : (performance.now() - this.#caughtUpAt) / 1_000
  }

  async ready(): Promise<string> {
    if (this.#isOver()) throw misuse('The subscription has ended. Subscribe anew.')
    await this.#start()
    return tokenOf(this.#told)
  }

  /** Whether the caller ended the stream. Throws the reason if the store ended it. */
  #isOver(): boolean {
    const { aborted, reason } = this.#ended.signal
    if (aborted && reason !== LEFT) throw reason
    return aborted
  }

  #start(): Promise<void> {
    if (!this.#ended.signal.aborted) this.#onReading(true)
    this.#started ??= this.#register().catch((error) => {
      this.#started = undefined
      this.#onReading(false)
      throw error
    })
    return this.#started
  }

  async #register(): Promise<void> {
    this.#signal?.throwIfAborted()
    for (;;) {
      const log = this.#database.changeLog
      try {
        this.#log = log
        this.#goOnFrom(await this.#registerIn(log))
        this.#renewAt = performance.now() + this.#keepMs / RENEWALS
        return
      } catch (error) {
        if (!isCode(error, 'MOVED')) throw error
        await this.#database.settled()
        if (this.#database.changeLog === log) throw error
      }
    }
  }

  async #registerIn(log: ChangeLog): Promise<LogPosition> {
    if (this.#after === undefined) return log.begin(this.#consumer, this.#keptUntil())
    if (!(await log.resume(this.#consumer, this.#keptUntil(), this.#after))) throw missed()
    return this.#after
  }

  #goOnFrom(at: LogPosition): void {
    this.#told = at
    this.#known = at
    this.#position = at.position
  }

  /** `keepSeconds` after the next renewal. */
  #keptUntil(): Date {
    return new Date(this.#now().getTime() + this.#keepMs * (1 + 1 / RENEWALS))
  }

  next(): Promise<IteratorResult<Change, undefined>> {
    const change = this.#buffered()
    // Hot path: a subscriber must not cost the writers of its process more than needed.
    if (change !== undefined) return Promise.resolve({ done: false, value: this.#tell(change) })
    this.#reads++
    const result = this.#lastRead.then(() => this.#read())
    this.#lastRead = result.then(this.#readEnded, this.#readEnded)
    return result
  }

  readonly #readEnded = (): void => {
    this.#reads--
  }

  /** The next change, if it was read already and nothing is to do before it is told. */
  #buffered(): LoggedChange | undefined {
    const change = this.#batch[this.#next]
    if (change === undefined || this.#reads > 0 || this.#waking.aborted) return undefined
    if (performance.now() >= this.#renewAt) return undefined
    this.#onReading(true)
    return change
  }

  async #read(): Promise<IteratorResult<Change, undefined>> {
    try {
      await this.#start()
      for (;;) {
        if (this.#isOver()) return { done: true, value: undefined }
        this.#signal?.throwIfAborted()
        await this.#renew()
        const change = this.#batch[this.#next]
        if (change !== undefined) return { done: false, value: this.#tell(change) }
        await this.#more()
      }
    } catch (error) {
      // After these errors the caller cannot continue. After other errors the caller may call `next()` again.
      if (this.#signal?.aborted === true || isCode(error, 'CHANGES_MISSED')) await this.#leave(error)
      else this.#onReading(false)
      throw error
    }
  }

  #tell(change: LoggedChange): Change {
    this.#next++
    this.#told = { log: this.#told.log, position: change.position }
    return changeOf(change, tokenOf(this.#told))
  }

  async #more(): Promise<void> {
    // Compare before the read: after a move the old log gets no more entries, so that an empty page is its end.
    const hasMoved = this.#database.changeLog !== this.#log
    if (!hasMoved) await this.#anchor()
    const page = await this.#log.read({ log: this.#told.log, position: this.#position }, BATCH).catch((error) => {
      // The move does not wait for a stream that ended with an error, and may have closed the old database.
      if (hasMoved && isCode(error, 'CLOSED')) return undefined
      throw error
    })
    if (page === undefined) throw missed()
    this.#batch = page.changes
    this.#next = 0
    this.#position = page.position
    if (page.changes.length > 0) return
    if (hasMoved) await this.#follow()
    else {
      await this.#pause()
      await this.#database.settled()
    }
  }

  async #anchor(): Promise<void> {
    if (performance.now() < this.#anchorAt) return
    const at = await this.#log.anchor({ log: this.#told.log, position: this.#position })
    if (at === undefined) throw missed()
    this.#position = at.position
    this.#anchorAt = performance.now() + ANCHOR_MS
  }

  /** Resolves when the stream no longer reads from `log`. */
  left(log: ChangeLog): Promise<void> {
    return this.#log === log ? this.#leaving.promise : Promise.resolve()
  }

  /** Continues in the new database's log, where the move registered the old log's consumers. */
  async #follow(): Promise<void> {
    await this.#database.settled()
    this.#log = this.#database.changeLog
    const at = await this.#log.at(this.#consumer)
    if (at === undefined) throw missed()
    this.#goOnFrom(at)
    this.#renewAt = 0
    this.#leaving.resolve()
  }

  async #renew(): Promise<void> {
    if (performance.now() < this.#renewAt) return
    this.#renewAt = performance.now() + this.#keepMs / RENEWALS
    try {
      if (!(await this.#log.renew(this.#consumer, this.#keptUntil(), this.#known))) throw missed()
      this.#known = this.#told
    } catch (error) {
      // Ignore other errors: the next renewal is early enough, and the next read reports an unreadable log.
      if (isCode(error, 'CHANGES_MISSED')) throw error
      if (isCode(error, 'MOVED')) await this.#database.settled()
    }
  }

  async #pause(): Promise<void> {
    const at = { log: this.#told.log, position: this.#position }
    this.#isWaiting = true
    await this.#poller.wait(this.#log, at, { until: this.#renewAt, signal: this.#waking })
    this.#isWaiting = false
    this.#caughtUpAt = performance.now()
  }

  async return(): Promise<IteratorResult<Change, undefined>> {
    await this.end()
    return { done: true, value: undefined }
  }

  async end(): Promise<void> {
    const started = this.#stopFor(LEFT)
    await this.#lastRead
    await started?.then(() => this.#leave()).catch(() => {})
  }

  /** Ends the stream when the store closes; a pending `next()` rejects. Returns the consumer to delete from the log, if any. */
  stop(reason: StorageError): string | undefined {
    const started = this.#stopFor(reason)
    return started === undefined || this.#mayResume ? undefined : this.#consumer
  }

  /** Aborts the stream. Returns the pending or completed registration, if there is one. */
  #stopFor(reason: unknown): Promise<void> | undefined {
    this.#ended.abort(reason)
    this.#leaving.resolve()
    this.#onReading(false)
    const started = this.#started
    this.#started ??= Promise.resolve()
    return started
  }

  /** Removes the registration: the log keeps no more changes for this stream. */
  async #leave(reason: unknown = LEFT): Promise<void> {
    this.#stopFor(reason)
    await this.#log.end(this.#consumer).catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}

const isCode = (error: unknown, code: StorageErrorCode): boolean => error instanceof StorageError && error.code === code
