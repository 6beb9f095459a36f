import { randomUUID } from 'node:crypto'
import { StorageError } from '../../errors.ts'
import { encodeTime } from '../../schema/codecs.ts'
import type { ChangeLog, LoggedChange, LogPosition } from '../session.ts'
import type { PostgresDatabase } from './postgres-database.ts'
import type { Ask } from './session-control.ts'

/** The row of meshstore_state that switches the log on, and names it. Whoever registers or prunes has it locked. */
const LOG = 'change_log'
/** In meshstore_consumers, the row of nobody: what the transactions below its position wrote has been deleted. */
const PRUNED = ''
/** How long the transactions may take that began before the log was switched on, and do not write it, in milliseconds. */
const LONGEST_WAIT_MS = 10_000
/** More changes than that are kept for nobody. */
const MOST_CHANGES = 1_000_000
/** Deleted at once. */
const BATCH = 1_000

const LOCK = "SELECT value FROM meshstore_state WHERE name = 'change_log' FOR UPDATE"
const SWITCH_ON =
  'INSERT INTO meshstore_state (name, value, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING'
const REGISTER = `INSERT INTO meshstore_consumers (name, position, kept_until) VALUES ($1, $2, $3)
  ON CONFLICT (name) DO UPDATE SET position = excluded.position, kept_until = excluded.kept_until`
const RENEW = 'UPDATE meshstore_consumers SET position = $1, kept_until = $2 WHERE name = $3 RETURNING 1'
const AT = `SELECT value, position FROM meshstore_state, meshstore_consumers
  WHERE meshstore_state.name = 'change_log' AND meshstore_consumers.name = $1`
const PRUNED_BELOW = "SELECT position FROM meshstore_consumers WHERE name = ''"
/** A snapshot shows all transactions below its xmin that were committed. */
const XMIN = 'pg_snapshot_xmin($1::pg_snapshot)'
const READ = `SELECT seq, table_name, key, operation FROM meshstore_changes
  WHERE transaction >= ${XMIN} AND NOT pg_visible_in_snapshot(transaction, $1::pg_snapshot)
  AND pg_visible_in_snapshot(transaction, $2::pg_snapshot) AND seq > $3
  ORDER BY seq LIMIT $4`
const LEAST = `SELECT min(pg_snapshot_xmin(split_part(position, '/', 1)::pg_snapshot)::text::bigint)::text
  FROM meshstore_consumers WHERE name <> ''`

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

export class PostgresChangeLog implements ChangeLog {
  readonly #database: PostgresDatabase

  constructor(database: PostgresDatabase) {
    this.#database = database
  }

  async at(consumer: string): Promise<LogPosition | undefined> {
    const [row] = await this.#read((ask) => ask<[string, string]>(AT, [consumer]))
    return row && { log: row[0], position: row[1] }
  }

  async begin(consumer: string, keptUntil: Date): Promise<LogPosition> {
    const log = await this.#write(async (ask) => {
      await ask(SWITCH_ON, [LOG, randomUUID(), encodeTime(new Date())])
      const [locked] = await ask<[string]>(LOCK)
      const [now] = await ask<[string]>('SELECT pg_current_snapshot()::text')
      await ask(REGISTER, [consumer, now?.[0], encodeTime(keptUntil)])
      return locked?.[0] ?? ''
    })
    await this.#heard()
    const position = await this.#read(async (ask) => {
      const [row] = await ask<[string]>('SELECT pg_current_snapshot()::text')
      return row?.[0] ?? ''
    })
    return { log, position }
  }

  /** Who began before the log was switched on may not know of it. */
  async #heard(): Promise<void> {
    const deadline = performance.now() + LONGEST_WAIT_MS
    while (!(await this.#database.earlierWritersEnded())) {
      if (performance.now() < deadline) continue
      throw new StorageError(
        'BUSY',
        `A transaction that began before the change log was switched on has not ended within ${LONGEST_WAIT_MS} ms: its changes would be missed.`,
      )
    }
  }

  resume(consumer: string, keptUntil: Date, { log, position }: LogPosition): Promise<boolean> {
    return this.#write(async (ask) => {
      if (!(await isHeld(ask, log, position))) return false
      await ask(REGISTER, [consumer, position, encodeTime(keptUntil)])
      return true
    })
  }

  renew(consumer: string, keptUntil: Date, { log, position }: LogPosition): Promise<boolean> {
    return this.#write(async (ask) => {
      if (!(await isHeld(ask, log, position))) return false
      return (await ask(RENEW, [position, encodeTime(keptUntil), consumer])).length > 0
    })
  }

  end(consumer: string): Promise<void> {
    return this.#write((ask) => forget(ask, [consumer]))
  }

  read(position: string, limit: number): Promise<{ changes: LoggedChange[]; position: string }> {
    const { seen, upTo, seq } = placeOf(position)
    return this.#read(async (ask) => {
      const [row] = await ask<[string]>('SELECT pg_current_snapshot()::text')
      const end = upTo ?? row?.[0] ?? ''
      const rows = await ask<[number, string, string | null, string]>(READ, [seen, end, seq, limit])
      const changes = rows.map(([each, table, key, operation]): LoggedChange => {
        return { table, key, operation, position: positionOf({ seen, upTo: end, seq: each }) }
      })
      return { changes, position: rows.length < limit ? end : (changes.at(-1)?.position ?? position) }
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
      await ask(LOCK)
      await ask("DELETE FROM meshstore_consumers WHERE kept_until < $1 AND name <> ''", [encodeTime(now)])
      await forgetTheFurthest(ask)
      const isUsed = !(await switchOffUnlessUsed(ask))
      const [row] = await ask<[string]>(isUsed ? LEAST : 'SELECT pg_snapshot_xmin(pg_current_snapshot())::text')
      const below = row?.[0] ?? '0'
      if (isUsed) await ask(REGISTER, [PRUNED, below, Number.MAX_SAFE_INTEGER])
      return below
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
  await ask(LOCK)
  await ask('DELETE FROM meshstore_consumers WHERE name = ANY($1)', [consumers])
  await switchOffUnlessUsed(ask)
}

/** Locks the log. */
async function isHeld(ask: Ask, log: string, position: string): Promise<boolean> {
  const [locked] = await ask<[string]>(LOCK)
  if (locked?.[0] !== log) return false
  const { seen } = placeOf(position)
  const [pruned] = await ask<[string]>(PRUNED_BELOW)
  const [held] = await ask<[boolean]>(`SELECT ${XMIN} >= $2::xid8`, [seen, pruned?.[0] ?? '0'])
  return held?.[0] === true
}

/** Consumers that are so far behind that the log would grow without bound. */
async function forgetTheFurthest(ask: Ask): Promise<void> {
  const tooOld = `SELECT transaction::text FROM meshstore_changes ORDER BY seq DESC OFFSET ${MOST_CHANGES} LIMIT 1`
  const span = 'SELECT max(seq) - min(seq) FROM meshstore_changes'
  const [row] = await ask<[number | null]>(span)
  if ((row?.[0] ?? 0) < MOST_CHANGES) return
  const [transaction] = await ask<[string]>(tooOld)
  if (transaction === undefined) return
  await ask(
    `DELETE FROM meshstore_consumers WHERE name <> ''
     AND pg_snapshot_xmin(split_part(position, '/', 1)::pg_snapshot) <= $1::xid8`,
    transaction,
  )
}

async function switchOffUnlessUsed(ask: Ask): Promise<boolean> {
  const used = await ask("SELECT 1 FROM meshstore_consumers WHERE name <> '' LIMIT 1")
  if (used.length > 0) return false
  await ask('DELETE FROM meshstore_state WHERE name = $1', [LOG])
  await ask('DELETE FROM meshstore_consumers')
  return true
}
