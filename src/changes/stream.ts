/** The changes of a database, as an application reads them. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Change, Changes, ChangesOptions } from '../api.ts'
import type { ChangeLog, Database, LoggedChange, LogPosition } from '../database/session.ts'
import { misuse, StorageError, type StorageErrorCode } from '../errors.ts'
import * as rules from '../schema/rules.ts'
import { changeOf, positionOf, tokenOf } from './tokens.ts'

/** From one look at the log to the next, in milliseconds, while there is nothing new. */
const POLL_MS = 25
/** So often it is asked whether what was read is still there, in milliseconds. */
const ANCHOR_MS = 1_000
/** Changes that are read at once. */
const BATCH = 500
const DEFAULT_KEEP_SECONDS = 600
/** So often within the time that it is kept, the subscriber says that it is there. */
const RENEWALS = 4

/** The caller wants no more. */
const LEFT = Symbol('left')

const RULES: rules.Rules = {
  after: (value) => (typeof value === 'string' ? undefined : 'must be a token'),
  keepSeconds: rules.isNumber(1, 604_800),
  signal: rules.isSignal,
}

const missed = (): StorageError =>
  new StorageError(
    'CHANGES_MISSED',
    'Changes were missed: they are not kept any more, or the database is another one. Subscribe anew, then read everything.',
  )

interface Reading {
  /** The caller may come back with a token after the store was closed: its place is kept. `true` unless said. */
  readonly mayResume?: boolean
  /** Whether the caller reads from the stream, as far as is known. */
  readonly onReading?: (reads: boolean) => void
}

export class ChangeStream implements Changes {
  readonly #database: Database
  readonly #keepMs: number
  readonly #mayResume: boolean
  readonly #onReading: (reads: boolean) => void
  readonly #signal: AbortSignal | undefined
  readonly #consumer = crypto.randomUUID()
  readonly #after: LogPosition | undefined
  readonly #ended = new AbortController()
  /** Whoever pauses is woken by it. Made once: a signal remembers all that were made of it. */
  readonly #waking: AbortSignal
  readonly #leaving = Promise.withResolvers<void>()
  #log: ChangeLog
  #started: Promise<void> | undefined
  /** Where the caller is: what has the last token. */
  #told: LogPosition = { log: '', position: '' }
  /** Where the caller was when that was last said to the log: an older token will do, too. */
  #known: LogPosition = this.#told
  #renewAt = 0
  #anchorAt = 0
  #batch: LoggedChange[] = []
  #next = 0
  /** Behind the batch. */
  #position = ''
  /** `next()` may be called before the last one has answered. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(database: Database, options: ChangesOptions, { mayResume = true, onReading = () => {} }: Reading = {}) {
    rules.checkOptions('The options', RULES, options)
    this.#database = database
    this.#mayResume = mayResume
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

  async ready(): Promise<string> {
    if (this.#isOver()) throw misuse('The subscription has ended. Subscribe anew.')
    await this.#start()
    return tokenOf(this.#told)
  }

  /** Throws what ended it, unless the caller did. */
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

  /**
   * From the next renewal on for as long as was asked for. By the machine's clock, as whoever prunes tells the time: a store's own
   * clock may be a test's or a replay's.
   */
  #keptUntil(): Date {
    return new Date(Date.now() + this.#keepMs * (1 + 1 / RENEWALS))
  }

  next(): Promise<IteratorResult<Change, undefined>> {
    const result = this.#turn.then(() => this.#read())
    this.#turn = result.catch(() => {})
    return result
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
      // Nobody goes on from there. After other errors somebody may, or may not.
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
    // Before the log is looked at: what it has then is all that it will ever have.
    const hasMoved = this.#database.changeLog !== this.#log
    if (!hasMoved) await this.#anchor()
    const page = await this.#log.read({ log: this.#told.log, position: this.#position }, BATCH).catch((error) => {
      // It has not been waited for: after an error, nobody knew whether it would be read again.
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

  /** Resolves when nothing is read from that log any more. */
  left(log: ChangeLog): Promise<void> {
    return this.#log === log ? this.#leaving.promise : Promise.resolve()
  }

  /** The log of the other database has been kept for those who were registered here. */
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
      // For anything else there is time until the next one, and whether the log can be read is known when it is read.
      if (isCode(error, 'CHANGES_MISSED')) throw error
      if (isCode(error, 'MOVED')) await this.#database.settled()
    }
  }

  async #pause(): Promise<void> {
    await sleep(POLL_MS, undefined, { signal: this.#waking }).catch(() => {})
  }

  async return(): Promise<IteratorResult<Change, undefined>> {
    await this.end()
    return { done: true, value: undefined }
  }

  /** By the caller. */
  async end(): Promise<void> {
    const started = this.#stopFor(LEFT)
    await this.#turn
    await started?.then(() => this.#leave()).catch(() => {})
  }

  /** The store is being closed: whoever waits for a change is told so. Returns who is to be forgotten in the log, if anybody. */
  stop(reason: StorageError): string | undefined {
    const started = this.#stopFor(reason)
    return started === undefined || this.#mayResume ? undefined : this.#consumer
  }

  /** What has begun it, if it has. */
  #stopFor(reason: unknown): Promise<void> | undefined {
    this.#ended.abort(reason)
    this.#leaving.resolve()
    this.#onReading(false)
    const started = this.#started
    this.#started ??= Promise.resolve()
    return started
  }

  /** What it has not read is not kept for it. */
  async #leave(reason: unknown = LEFT): Promise<void> {
    this.#stopFor(reason)
    await this.#log.end(this.#consumer).catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}

const isCode = (error: unknown, code: StorageErrorCode): boolean => error instanceof StorageError && error.code === code
