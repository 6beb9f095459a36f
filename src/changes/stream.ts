/** The changes of a database, as an application reads them. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Change, Changes, ChangesOptions, InvalidationFilter } from '../api.ts'
import type { ChangeLog, Database, LoggedChange, LogPosition } from '../database/session.ts'
import { StorageError } from '../errors.ts'
import * as rules from '../schema/rules.ts'

/** From one look at the log to the next, in milliseconds, while there is nothing new. */
const POLL_MS = 25
/** Changes that are read at once. */
const BATCH = 500
const DEFAULT_KEEP_SECONDS = 600
/** So often within the time that it is kept, the subscriber says that it is there. */
const RENEWALS = 4

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

export class ChangeStream implements Changes {
  readonly #database: Database
  readonly #keepMs: number
  readonly #onEnd: () => void
  readonly #signal: AbortSignal | undefined
  readonly #consumer = randomUUID()
  readonly #after: LogPosition | undefined
  readonly #ended = new AbortController()
  readonly #leaving = Promise.withResolvers<void>()
  #log: ChangeLog
  #at: LogPosition = { log: '', position: '' }
  #started: Promise<void> | undefined
  #renewAt = 0
  #batch: LoggedChange[] = []
  #next = 0
  /** `next()` may be called before the last one has answered. */
  #turn: Promise<unknown> = Promise.resolve()

  /** `onEnd`: nobody will read from it any more. */
  constructor(database: Database, options: ChangesOptions = {}, onEnd: () => void = () => {}) {
    rules.checkOptions('The options', RULES, options)
    this.#database = database
    this.#onEnd = onEnd
    this.#log = database.changeLog
    this.#keepMs = Math.round((options.keepSeconds ?? DEFAULT_KEEP_SECONDS) * 1_000)
    this.#signal = options.signal
    this.#after = options.after === undefined ? undefined : positionOf(options.after)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async ready(): Promise<string> {
    await this.#start()
    return tokenOf(this.#at)
  }

  #start(): Promise<void> {
    this.#started ??= this.#register().catch((error) => {
      this.#started = undefined
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
        await this.#registerIn(log)
        this.#renewAt = performance.now() + this.#keepMs / RENEWALS
        return
      } catch (error) {
        if (!(error instanceof StorageError) || error.code !== 'MOVED') throw error
        await this.#database.settled()
        if (this.#database.changeLog === log) throw error
      }
    }
  }

  async #registerIn(log: ChangeLog): Promise<void> {
    if (this.#after === undefined) {
      this.#at = await log.begin(this.#consumer, this.#keptUntil())
      return
    }
    if (!(await log.resume(this.#consumer, this.#keptUntil(), this.#after))) throw missed()
    this.#at = this.#after
  }

  #keptUntil(): Date {
    return new Date(Date.now() + this.#keepMs)
  }

  next(): Promise<IteratorResult<Change, undefined>> {
    const result = this.#turn.then(() => this.#read())
    this.#turn = result.catch(() => {})
    return result
  }

  async #read(): Promise<IteratorResult<Change, undefined>> {
    await this.#start()
    for (;;) {
      if (this.#ended.signal.aborted) {
        if (this.#ended.signal.reason instanceof StorageError) throw this.#ended.signal.reason
        return { done: true, value: undefined }
      }
      this.#signal?.throwIfAborted()
      const change = this.#batch[this.#next]
      if (change !== undefined) {
        this.#next++
        this.#at = { log: this.#at.log, position: change.position }
        return { done: false, value: changeOf(change, tokenOf(this.#at)) }
      }
      await this.#more()
    }
  }

  async #more(): Promise<void> {
    // Before the log is looked at: what it has then is all that it will ever have.
    const hasMoved = this.#database.changeLog !== this.#log
    const { changes, position } = await this.#log.read(this.#at.position, BATCH)
    this.#batch = changes
    this.#next = 0
    if (changes.length > 0) return
    this.#at = { log: this.#at.log, position }
    if (hasMoved) await this.#follow()
    else {
      await this.#renew()
      await this.#pause()
      await this.#database.settled()
    }
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
    this.#at = at
    this.#renewAt = 0
    this.#leaving.resolve()
  }

  async #renew(): Promise<void> {
    if (performance.now() < this.#renewAt) return
    try {
      if (!(await this.#log.renew(this.#consumer, this.#keptUntil(), this.#at))) throw missed()
    } catch (error) {
      // Then the next look is at the other database's log.
      if (!(error instanceof StorageError) || error.code !== 'MOVED') throw error
      await this.#database.settled()
      return
    }
    this.#renewAt = performance.now() + this.#keepMs / RENEWALS
  }

  async #pause(): Promise<void> {
    const signals = this.#signal === undefined ? [this.#ended.signal] : [this.#ended.signal, this.#signal]
    await sleep(POLL_MS, undefined, { signal: AbortSignal.any(signals) }).catch(() => {})
  }

  async return(): Promise<IteratorResult<Change, undefined>> {
    await this.end()
    return { done: true, value: undefined }
  }

  async end(): Promise<void> {
    const consumer = this.stop()
    if (consumer === undefined) return
    await this.#turn
    await this.#log.end(consumer).catch(() => {})
  }

  /** With a reason, whoever waits for a change is told it. Returns who may be registered in the log. */
  stop(reason?: StorageError): string | undefined {
    this.#ended.abort(reason)
    this.#leaving.resolve()
    this.#onEnd()
    const started = this.#started
    this.#started ??= Promise.resolve()
    return started && this.#consumer
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}

const tokenOf = ({ log, position }: LogPosition): string => `${log}~${position}`

function positionOf(token: string): LogPosition {
  const [, log, position] = /^([0-9a-f-]{36})~([0-9:,/]+)$/.exec(token) ?? []
  if (log !== undefined && position !== undefined) return { log, position }
  throw new StorageError('VALIDATION', 'The token was refused: it is none of a change.', {
    issues: [{ path: 'after', message: 'must be a token of a change' }],
  })
}

function changeOf({ table, key, operation }: LoggedChange, token: string): Change {
  const change = { table, operation, token } as Pick<Change, 'table' | 'operation' | 'token'>
  if (operation !== 'invalidate') return { ...change, key: key ?? undefined, paths: undefined }
  return { ...change, key: undefined, paths: filterOf(JSON.parse(key ?? '{}')) }
}

const filterOf = (given: Readonly<Record<string, string | null>>): InvalidationFilter =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
