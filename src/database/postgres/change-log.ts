import { StorageError } from '../../errors.ts'
import { machineTime, performance } from '../../event-loop.ts'
import { encodeTime } from '../../schema/codecs.ts'
import { withInvalidations } from '../invalidating-entries.ts'
import type { ChangeLog, LoggedChange, LogPage, LogPosition } from '../session.ts'
import {
  AT,
  BEAT,
  DIGEST,
  FIRST_UNSEEN,
  FORGET,
  FORGET_BEATS,
  HAS_NEWS,
  IS_HELD,
  IS_LOG,
  IS_WHOLE,
  LEAST,
  LOCK,
  MOVE_TO,
  NO_CONSUMER,
  READ,
  REGISTER,
  RENEW,
  SWITCH_ON,
  WHOLE,
} from './change-log-statements.ts'
import { covers, formatPosition, type ParsedPosition, parsePosition } from './log-position.ts'
import { beginAnewOnAnotherServer } from './server-identity.ts'
import type { OwnTransaction } from './session-control.ts'
import type { Ask } from './single.ts'
import { reaching, snapshot, xmin } from './snapshots.ts'

export { WHOLE } from './change-log-statements.ts'

/** Longest wait for transactions that began before the log was switched on, and do not write to it, in milliseconds. */
const LONGEST_WAIT_MS = 10_000
/** Most changes that the log keeps: a consumer that is further behind is deleted. */
const MOST_CHANGES = 1_000_000
/** Entries that one statement deletes. */
const BATCH = 1_000

/** Interval between two beats while changes are read, in milliseconds. The digest covers the changes after a beat. */
const BEAT_EVERY_MS = 1_000
/** Beats do not expire by time. */
const FOR_EVER = Number.MAX_SAFE_INTEGER

/** The database that holds the log. */
interface Host {
  inOwnTransaction<T>(isolation: OwnTransaction, work: (ask: Ask) => Promise<T>): Promise<T>
  earlierWritersEnded(withinMs?: number): Promise<boolean>
}

export class PostgresChangeLog implements ChangeLog {
  readonly #database: Host
  readonly #now: () => Date
  /** The last beat that a subscriber of this store committed: all its subscribers continue from it. */
  #latest: (ParsedPosition & { readonly since: number }) | undefined
  #beating = false

  constructor(database: Host, now = machineTime) {
    this.#database = database
    this.#now = now
  }

  at(consumer: string): Promise<LogPosition | undefined> {
    return this.#write(async (ask) => {
      const [row] = await ask<[string, string]>(AT, [consumer])
      if (row === undefined) return undefined
      const [log, stored] = row
      if (parsePosition(stored) !== undefined) return { log, position: stored }
      // The live move registered this consumer here.
      const position = formatPosition(await beatAt(ask, stored))
      await ask(MOVE_TO, [position, consumer])
      return { log, position }
    })
  }

  async begin(consumer: string, keptUntil: Date): Promise<LogPosition> {
    await beginAnewOnAnotherServer(this.#database, this.#now)
    const first = await this.#enter(consumer, keptUntil)
    if (first.isWhole) return first.at
    await this.#complete(first.at.log).catch((error) => this.#givenUp(consumer, error))
    return (await this.#enter(consumer, keptUntil)).at
  }

  #enter(consumer: string, keptUntil: Date): Promise<{ at: LogPosition; isWhole: boolean }> {
    return this.#write(async (ask) => {
      const [on] = await ask<[string]>(SWITCH_ON, [crypto.randomUUID(), encodeTime(this.#now())])
      const position = formatPosition(await beatAt(ask, await snapshot(ask)))
      await ask(REGISTER, [consumer, position, encodeTime(keptUntil)])
      return { at: { log: on?.[0] ?? '', position }, isWhole: (await ask(IS_WHOLE)).length > 0 }
    })
  }

  async #givenUp(consumer: string, error: unknown): Promise<never> {
    await this.end(consumer).catch(() => {})
    throw error
  }

  async #complete(log: string): Promise<void> {
    await this.#heard()
    await this.#write(async (ask) => {
      await locked(ask)
      if ((await ask(IS_LOG, [log])).length > 0) await ask(REGISTER, [WHOLE, '0', Number.MAX_SAFE_INTEGER])
    })
  }

  /** Waits for transactions that began before the log was switched on: they may not write to it. */
  async #heard(): Promise<void> {
    if (await this.#database.earlierWritersEnded(LONGEST_WAIT_MS)) return
    throw new StorageError(
      'BUSY',
      `A transaction that began before the change log was switched on has not ended within ${LONGEST_WAIT_MS} ms. Its changes would be missed, so nothing was subscribed. Wait for it or end it, then try again.`,
    )
  }

  async resume(consumer: string, keptUntil: Date, from: LogPosition): Promise<boolean> {
    await beginAnewOnAnotherServer(this.#database)
    return this.#write(async (ask) => {
      await locked(ask)
      if (!(await isHeld(ask, from)) || !(await isAsRead(ask, from))) return false
      await ask(REGISTER, [consumer, from.position, encodeTime(keptUntil)])
      return true
    })
  }

  renew(consumer: string, keptUntil: Date, at: LogPosition): Promise<boolean> {
    return this.#write(async (ask) => {
      await locked(ask)
      if (!(await isHeld(ask, at))) return false
      return (await ask(RENEW, [at.position, encodeTime(keptUntil), consumer])).length > 0
    })
  }

  end(consumer: string): Promise<void> {
    return this.#write((ask) => forget(ask, [consumer]))
  }

  async anchor(at: LogPosition): Promise<LogPosition | undefined> {
    const place = parsePosition(at.position)
    if (place === undefined) return undefined
    // Inside a window: checked when the window has been read, or when a consumer resumes there.
    if (place.upTo !== undefined) return at
    const latest = this.#latest
    const isYoung = latest !== undefined && performance.now() - latest.since < BEAT_EVERY_MS
    const beat = isYoung && covers(place.seen, latest.seen) ? latest.beat : undefined
    const digest = await this.#read(async (ask) => {
      if (!(await isHeld(ask, at)) || !(await isAsRead(ask, at))) return undefined
      return beat === undefined || place.digest === 0n ? place.digest : digestOf(ask, { ...place, beat })
    })
    if (digest === undefined) return undefined
    // Nothing was read since the beat, or another subscriber of this store is committing a beat.
    if (place.digest === 0n || this.#beating) return at
    if (beat !== undefined) return { log: at.log, position: formatPosition({ ...place, beat, digest }) }
    this.#beating = !isYoung
    try {
      const moved = await this.#write((ask) => beatAt(ask, place.seen))
      if (!isYoung) this.#latest = { ...moved, since: performance.now() }
      return { log: at.log, position: formatPosition(moved) }
    } finally {
      if (!isYoung) this.#beating = false
    }
  }

  read(from: LogPosition, limit: number): Promise<LogPage | undefined> {
    const place = parsePosition(from.position)
    if (place === undefined) return Promise.resolve(undefined)
    const { seen, upTo, seq, beat } = place
    return this.#read(async (ask) => {
      // Both queries are sent together.
      const [held, window] = await Promise.all([
        isHeld(ask, from),
        upTo === undefined ? windowBehind(ask, seen) : { end: upTo, after: seq },
      ])
      if (!held) return undefined
      if (window.after === undefined) return { changes: [], position: from.position }
      let { digest } = place
      const rows = await ask<[number, string, string | null, string, number]>(READ, [
        seen,
        window.end,
        window.after,
        limit,
      ])
      const changes = rows.map(([each, table, key, operation, nonce]): LoggedChange => {
        digest += BigInt(nonce)
        return { table, key, operation, position: formatPosition({ seen, upTo: window.end, seq: each, beat, digest }) }
      })
      const end = formatPosition({ seen: window.end, seq: 0, beat, digest })
      return {
        changes: withInvalidations(changes, from.position),
        position: rows.length < limit ? end : (changes.at(-1)?.position ?? end),
      }
    })
  }

  async news(positions: readonly LogPosition[]): Promise<readonly boolean[]> {
    const places = positions.map(({ log, position }) => ({ log, ...parsePosition(position) }))
    // A position after its beat, or inside a window, has changes to read or to anchor.
    const settled = places.filter(({ upTo, digest }) => digest === 0n && upTo === undefined)
    const columns = [settled.map(({ log }) => log), settled.map(({ seen }) => seen), settled.map(({ beat }) => beat)]
    const rows = settled.length === 0 ? [] : await this.#read((ask) => ask<[boolean]>(HAS_NEWS, columns))
    const answers = new Map(settled.map((place, index) => [place, rows[index]?.[0]]))
    return places.map((place) => answers.get(place) ?? true)
  }

  async prune(now: Date): Promise<void> {
    await beginAnewOnAnotherServer(this.#database)
    const [anything] = await this.#read((ask) =>
      ask<[boolean]>(
        "SELECT EXISTS (SELECT 1 FROM meshstore_state WHERE name = 'change_log') OR EXISTS (SELECT 1 FROM meshstore_changes)",
      ),
    )
    if (anything?.[0] !== true) return
    const below = await this.#unreadBelow(now)
    const sql = `DELETE FROM meshstore_changes WHERE seq IN (
      SELECT seq FROM meshstore_changes WHERE transaction < $1::xid8 ORDER BY seq LIMIT ${BATCH} FOR UPDATE SKIP LOCKED)
      RETURNING 1`
    for (let deleted = BATCH; deleted === BATCH; ) deleted = (await this.#write((ask) => ask(sql, [below]))).length
  }

  /** Deletes expired consumers. Returns the transaction id below which all consumers have read everything. */
  #unreadBelow(now: Date): Promise<string> {
    return this.#write(async (ask) => {
      // The log is off: a consumer that registers now reads none of the present entries.
      if (!(await locked(ask))) return xmin(await snapshot(ask))
      await ask(FORGET, [encodeTime(now)])
      await ask(FORGET_BEATS)
      await forgetTheFurthest(ask)
      if (await switchOffUnlessUsed(ask)) return xmin(await snapshot(ask))
      // A consumer is registering, and waits for transactions that do not write to the log.
      if ((await ask(IS_WHOLE)).length === 0) return '0'
      const [least] = await ask<[string]>(LEAST)
      await ask(REGISTER, [WHOLE, least?.[0], Number.MAX_SAFE_INTEGER])
      return least?.[0] ?? '0'
    })
  }

  /** Runs again if the answer to its COMMIT is lost: each of the log's transactions can be repeated. */
  async #write<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    const run = (): Promise<T> => this.#database.inOwnTransaction('READ COMMITTED', work)
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof StorageError && error.code === 'OUTCOME_UNKNOWN')) throw error
      return run()
    }
  }

  #read<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    return this.#database.inOwnTransaction('REPEATABLE READ READ ONLY', work)
  }
}

export async function forget(ask: Ask, consumers: readonly string[]): Promise<void> {
  const isOn = await locked(ask)
  await ask('DELETE FROM meshstore_consumers WHERE name = ANY($1)', [consumers])
  if (isOn) await switchOffUnlessUsed(ask)
}

/** Locks the log; `false` if it is switched off. */
const locked = async (ask: Ask): Promise<boolean> => (await ask(LOCK)).length > 0

async function isHeld(ask: Ask, { log, position }: LogPosition): Promise<boolean> {
  const place = parsePosition(position)
  if (place === undefined) return false
  const [held] = await ask<[boolean | null]>(IS_HELD, [log, place.seen, BEAT + place.beat])
  return held?.[0] === true
}

/** Whether all changes that were read still exist, and no other transaction got their ids. The position must be held. */
async function isAsRead(ask: Ask, { position }: LogPosition): Promise<boolean> {
  const place = parsePosition(position)
  return place !== undefined && (await digestOf(ask, place)) === place.digest
}

async function digestOf(ask: Ask, { seen, upTo, seq, beat }: ParsedPosition): Promise<bigint> {
  const [row] = await ask<[string]>(DIGEST, [BEAT + beat, seen, upTo, seq])
  return BigInt(row?.[0] ?? 0)
}

/** Commits a beat with this snapshot. Returns the position of a consumer that has read what the snapshot shows. */
async function beatAt(ask: Ask, seen: string): Promise<ParsedPosition> {
  const beat = crypto.randomUUID()
  await ask(REGISTER, [BEAT + beat, seen, FOR_EVER])
  return { seen, seq: 0, beat, digest: 0n }
}

/** The window of changes that are visible now and not in the snapshot; `undefined` if there is none. */
async function windowBehind(ask: Ask, seen: string): Promise<{ end: string; after: number | undefined }> {
  const [row] = await ask<[string, number | null, number | null]>(FIRST_UNSEEN, [seen])
  const [now = seen, first = null, newest = null] = row ?? []
  if (first === null || newest === null) return { end: seen, after: undefined }
  return { end: reaching(newest, { seen, now }), after: first - 1 }
}

/**
 * Deletes the consumers that are a million changes behind, since the log would grow without bound. A snapshot's `xmin` does not
 * tell: it is that of the oldest open transaction of the whole server.
 */
const forgetTheFurthest = (ask: Ask): Promise<unknown> =>
  ask(
    `DELETE FROM meshstore_consumers WHERE name <> '${WHOLE}'
     AND NOT pg_visible_in_snapshot((
       SELECT transaction FROM meshstore_changes WHERE seq <= (SELECT max(seq) FROM meshstore_changes) - ${MOST_CHANGES}
       ORDER BY seq DESC LIMIT 1), split_part(position, '/', 1)::pg_snapshot)`,
  )

async function switchOffUnlessUsed(ask: Ask): Promise<boolean> {
  const used = await ask(`SELECT 1 FROM meshstore_consumers WHERE NOT ${NO_CONSUMER} LIMIT 1`)
  if (used.length > 0) return false
  await ask("DELETE FROM meshstore_state WHERE name = 'change_log'")
  await ask('DELETE FROM meshstore_consumers')
  return true
}
