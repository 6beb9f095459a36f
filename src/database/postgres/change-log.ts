import { StorageError } from '../../errors.ts'
import { encodeTime } from '../../schema/codecs.ts'
import type { ChangeLog, LoggedChange, LogPage, LogPosition } from '../session.ts'
import type { Apart } from './session-control.ts'
import type { Ask } from './single.ts'
import { isSnapshot, reaching, snapshot, xmin } from './snapshots.ts'

/**
 * In meshstore_consumers, the row of nobody: whoever writes knows of the log, and what transactions with ids below its position
 * wrote has been deleted.
 */
export const WHOLE = ''
/** How long the transactions may take that began before the log was switched on, and do not write it, in milliseconds. */
const LONGEST_WAIT_MS = 10_000
/** More changes than that are kept for nobody. */
const MOST_CHANGES = 1_000_000
/** Deleted at once. */
const BATCH = 1_000

/** The row of meshstore_state that switches the log on, and names it. Whoever registers or prunes has it locked. */
const LOCK = "SELECT 1 FROM meshstore_state WHERE name = 'change_log' FOR UPDATE"
/** Locks, too. In one statement: the row that is found there may be deleted before it is locked. */
const SWITCH_ON = `INSERT INTO meshstore_state (name, value, updated_at) VALUES ('change_log', $1, $2)
  ON CONFLICT (name) DO UPDATE SET value = meshstore_state.value RETURNING value`
const REGISTER = `INSERT INTO meshstore_consumers (name, position, kept_until) VALUES ($1, $2, $3)
  ON CONFLICT (name) DO UPDATE SET position = excluded.position, kept_until = excluded.kept_until`
const RENEW = 'UPDATE meshstore_consumers SET position = $1, kept_until = $2 WHERE name = $3 RETURNING 1'
const AT = `SELECT value, position FROM meshstore_state, meshstore_consumers
  WHERE meshstore_state.name = 'change_log' AND meshstore_consumers.name = $1`
const IS_WHOLE = `SELECT 1 FROM meshstore_consumers WHERE name = '${WHOLE}'`
const IS_LOG = "SELECT 1 FROM meshstore_state WHERE name = 'change_log' AND value = $1"
/** A snapshot shows all transactions below its xmin. One from the future is of another server, or of another time. */
const IS_HELD = `SELECT EXISTS (${IS_LOG})
  AND pg_snapshot_xmin($2::pg_snapshot) >= (SELECT position FROM meshstore_consumers WHERE name = '${WHOLE}')::xid8
  AND pg_snapshot_xmax($2::pg_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())`
/**
 * The first that a snapshot does not show. Materialized, and written by ids: the index finds them, however many there are that
 * it shows, and however old its xmin is.
 */
const FIRST_UNSEEN = `WITH unseen AS MATERIALIZED (
    SELECT seq, transaction FROM meshstore_changes WHERE transaction >= pg_snapshot_xmax($1::pg_snapshot)
    UNION ALL
    SELECT seq, transaction FROM meshstore_changes WHERE transaction = ANY (ARRAY(SELECT pg_snapshot_xip($1::pg_snapshot)))
  ) SELECT pg_current_snapshot()::text, min(seq), max(transaction::text::bigint) FROM unseen`
const READ = `SELECT seq, table_name, key, operation FROM meshstore_changes
  WHERE seq > $3 AND NOT pg_visible_in_snapshot(transaction, $1::pg_snapshot)
  AND pg_visible_in_snapshot(transaction, $2::pg_snapshot)
  ORDER BY seq LIMIT $4`
const FORGET = `DELETE FROM meshstore_consumers WHERE kept_until < $1 AND name <> '${WHOLE}'`
const LEAST = `SELECT min(pg_snapshot_xmin(split_part(position, '/', 1)::pg_snapshot)::text::bigint)::text
  FROM meshstore_consumers WHERE name <> '${WHOLE}'`

/**
 * Where a consumer is: it has seen what the snapshot `seen` shows, and of what `upTo` shows beyond that, the rows up to `seq`.
 *
 * Numbers are not given in the order of the commits, nor are transactions' ids: who reads by one of them misses what is
 * committed late. Between two snapshots everything is, exactly once.
 */
interface Place {
  readonly seen: string
  readonly upTo?: string | undefined
  readonly seq: number
}

const placeOf = (position: string): Place => {
  const [seen = '', upTo, seq = '0'] = position.split('/')
  return { seen, upTo, seq: Number(seq) }
}
const positionOf = ({ seen, upTo, seq }: Place): string => (upTo === undefined ? seen : `${seen}/${upTo}/${seq}`)

/** The database that holds the log. */
interface Host {
  apart<T>(isolation: Apart, work: (ask: Ask) => Promise<T>): Promise<T>
  earlierWritersEnded(withinMs?: number): Promise<boolean>
}

export class PostgresChangeLog implements ChangeLog {
  readonly #database: Host

  constructor(database: Host) {
    this.#database = database
  }

  async at(consumer: string): Promise<LogPosition | undefined> {
    const [row] = await this.#read((ask) => ask<[string, string]>(AT, [consumer]))
    return row && { log: row[0], position: row[1] }
  }

  async begin(consumer: string, keptUntil: Date): Promise<LogPosition> {
    const { log, isWhole } = await this.#write(async (ask) => {
      const [on] = await ask<[string]>(SWITCH_ON, [crypto.randomUUID(), encodeTime(new Date())])
      await ask(REGISTER, [consumer, await snapshot(ask), encodeTime(keptUntil)])
      return { log: on?.[0] ?? '', isWhole: (await ask(IS_WHOLE)).length > 0 }
    })
    if (!isWhole) await this.#complete(log).catch((error) => this.#givenUp(consumer, error))
    return { log, position: await this.#read(snapshot) }
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

  /** Who began before the log was switched on may not know of it. */
  async #heard(): Promise<void> {
    if (await this.#database.earlierWritersEnded(LONGEST_WAIT_MS)) return
    throw new StorageError(
      'BUSY',
      `A transaction that began before the change log was switched on has not ended within ${LONGEST_WAIT_MS} ms: its changes would be missed.`,
    )
  }

  resume(consumer: string, keptUntil: Date, from: LogPosition): Promise<boolean> {
    return this.#write(async (ask) => {
      await locked(ask)
      if (!(await isHeld(ask, from))) return false
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

  read(from: LogPosition, limit: number): Promise<LogPage | undefined> {
    const { seen, upTo, seq } = placeOf(from.position)
    return this.#read(async (ask) => {
      // Both are sent at once.
      const [held, window] = await Promise.all([
        isHeld(ask, from),
        upTo === undefined ? windowBehind(ask, seen) : { end: upTo, after: seq },
      ])
      if (!held) return undefined
      if (window.after === undefined) return { changes: [], position: window.end }
      const rows = await ask<[number, string, string | null, string]>(READ, [seen, window.end, window.after, limit])
      const changes = rows.map(([each, table, key, operation]): LoggedChange => {
        return { table, key, operation, position: positionOf({ seen, upTo: window.end, seq: each }) }
      })
      return { changes, position: rows.length < limit ? window.end : (changes.at(-1)?.position ?? window.end) }
    })
  }

  async prune(now: Date): Promise<void> {
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

  /** Forgets who is gone. What transactions with ids below this wrote, nobody has still to read. */
  #unreadBelow(now: Date): Promise<string> {
    return this.#write(async (ask) => {
      // Who switches it on now has nothing to read of what is there.
      if (!(await locked(ask))) return xmin(await snapshot(ask))
      await ask(FORGET, [encodeTime(now)])
      await forgetTheFurthest(ask)
      if (await switchOffUnlessUsed(ask)) return xmin(await snapshot(ask))
      // Somebody is waiting for transactions that do not know of the log.
      if ((await ask(IS_WHOLE)).length === 0) return '0'
      const [least] = await ask<[string]>(LEAST)
      await ask(REGISTER, [WHOLE, least?.[0], Number.MAX_SAFE_INTEGER])
      return least?.[0] ?? '0'
    })
  }

  #write<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    return this.#database.apart('READ COMMITTED', work)
  }

  #read<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    return this.#database.apart('REPEATABLE READ READ ONLY', work)
  }
}

export async function forget(ask: Ask, consumers: readonly string[]): Promise<void> {
  const isOn = await locked(ask)
  await ask('DELETE FROM meshstore_consumers WHERE name = ANY($1)', [consumers])
  if (isOn) await switchOffUnlessUsed(ask)
}

/** `false`: it is switched off. */
const locked = async (ask: Ask): Promise<boolean> => (await ask(LOCK)).length > 0

async function isHeld(ask: Ask, { log, position }: LogPosition): Promise<boolean> {
  const { seen } = placeOf(position)
  if (!isSnapshot(seen)) return false
  const [held] = await ask<[boolean | null]>(IS_HELD, [log, seen])
  return held?.[0] === true
}

/** What a transaction of one moment sees beyond a snapshot: up to another one, behind the number. `undefined`: nothing. */
async function windowBehind(ask: Ask, seen: string): Promise<{ end: string; after: number | undefined }> {
  const [row] = await ask<[string, number | null, number | null]>(FIRST_UNSEEN, [seen])
  const [now = seen, first = null, newest = null] = row ?? []
  if (first === null || newest === null) return { end: seen, after: undefined }
  return { end: reaching(newest, { seen, now }), after: first - 1 }
}

/** Consumers that are so far behind that the log would grow without bound. */
const forgetTheFurthest = (ask: Ask): Promise<unknown> =>
  ask(
    `DELETE FROM meshstore_consumers WHERE name <> '${WHOLE}'
     AND pg_snapshot_xmin(split_part(position, '/', 1)::pg_snapshot) <= (
       SELECT transaction FROM meshstore_changes WHERE seq <= (SELECT max(seq) FROM meshstore_changes) - ${MOST_CHANGES}
       ORDER BY seq DESC LIMIT 1)`,
  )

async function switchOffUnlessUsed(ask: Ask): Promise<boolean> {
  const used = await ask(`SELECT 1 FROM meshstore_consumers WHERE name <> '${WHOLE}' LIMIT 1`)
  if (used.length > 0) return false
  await ask("DELETE FROM meshstore_state WHERE name = 'change_log'")
  await ask('DELETE FROM meshstore_consumers')
  return true
}
