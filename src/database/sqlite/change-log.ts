import type Sqlite from 'better-sqlite3'
import { machineTime, nextTurn } from '../../event-loop.ts'
import { encodeTime } from '../../schema/codecs.ts'
import { withInvalidations } from '../invalidating-entries.ts'
import type { ChangeLog, LoggedChange, LogPage, LogPosition } from '../session.ts'
import type { SqliteConnection } from './connection.ts'

/** The database that holds the log. */
interface Host {
  onReader<T>(run: (reader: SqliteConnection) => T): Promise<T>
  onWriter<T>(run: (writer: SqliteConnection) => T): Promise<T>
}

/** The row of meshstore_state that switches the log on, and names it. */
export const LOG = 'change_log'

type Row = [position: string, table: string, key: string | null, operation: string]

/** SQLite writes the position: JavaScript takes a fifth of a subscriber's time for it. */
const READ =
  "SELECT seq || '/' || nonce, table_name, key, operation FROM meshstore_changes WHERE seq >= ? ORDER BY seq LIMIT ?"
const REGISTER = `INSERT INTO meshstore_consumers (name, position, kept_until) VALUES (?, ?, ?)
  ON CONFLICT (name) DO UPDATE SET position = excluded.position, kept_until = excluded.kept_until`
const AT = 'SELECT position FROM meshstore_consumers WHERE name = ?'
const RENEW = 'UPDATE meshstore_consumers SET position = ?, kept_until = ? WHERE name = ?'
/** The first row of a log. Positions begin at this row, so that a log whose rows are all gone is noticed. */
const BEGIN = "INSERT INTO meshstore_changes (table_name, operation) VALUES ('', 'begin')"
/** Pruning keeps the newest row while the log is on, so that no number is used twice. */
const NEWEST = "SELECT seq || '/' || nonce FROM meshstore_changes ORDER BY seq DESC LIMIT 1"
const OLDEST = 'SELECT min(seq) FROM meshstore_changes'
const NAME = 'SELECT value FROM meshstore_state WHERE name = ?'
const LEAST = 'SELECT min(CAST(position AS INTEGER)) FROM meshstore_consumers'
/** Rows deleted by one statement, which takes some milliseconds. */
const BATCH = 1_000

/**
 * With one writer, sequence numbers follow the order of the commits, without gaps: a rollback undoes its own. A position is
 * the number and the nonce of the last change that was read. A restored file that lost the change has another nonce there.
 */
export class SqliteChangeLog implements ChangeLog {
  readonly #database: Host
  readonly #now: () => Date

  constructor(database: Host, now = machineTime) {
    this.#database = database
    this.#now = now
  }

  at(consumer: string): Promise<LogPosition | undefined> {
    return this.#database.onReader(({ raw }) => {
      const log = nameOf(raw)
      const position = raw.prepare<[string], string>(AT).pluck().get(consumer)
      return log === undefined || position === undefined ? undefined : { log, position }
    })
  }

  begin(consumer: string, keptUntil: Date): Promise<LogPosition> {
    return this.#database.onWriter((writer) =>
      writer.savepoint(() => {
        const log = nameOf(writer.raw) ?? switchOn(writer.raw, this.#now())
        const position = newest(writer.raw)
        writer.raw.prepare(REGISTER).run(consumer, position, encodeTime(keptUntil))
        return { log, position }
      }),
    )
  }

  resume(consumer: string, keptUntil: Date, { log, position }: LogPosition): Promise<boolean> {
    return this.#database.onWriter((writer) =>
      writer.savepoint(() => {
        if (nameOf(writer.raw) !== log || !isHeld(writer.raw, position)) return false
        writer.raw.prepare(REGISTER).run(consumer, position, encodeTime(keptUntil))
        return true
      }),
    )
  }

  renew(consumer: string, keptUntil: Date, { log, position }: LogPosition): Promise<boolean> {
    return this.#database.onWriter(({ raw }) => {
      if (nameOf(raw) !== log || !isHeld(raw, position)) return false
      return raw.prepare(RENEW).run(position, encodeTime(keptUntil), consumer).changes > 0
    })
  }

  async end(consumer: string): Promise<void> {
    await this.#database.onWriter((writer) => writer.savepoint(() => forget(writer.raw, [consumer])))
  }

  /** Each read verifies the position: there is nothing to do. */
  async anchor(at: LogPosition): Promise<LogPosition> {
    return at
  }

  read({ log, position }: LogPosition, limit: number): Promise<LogPage | undefined> {
    return this.#database.onReader(({ raw }) => {
      const page = changesAfter(raw, position, limit)
      // Read the name after the rows: names are never reused, so that the log was on for the whole read.
      return nameOf(raw) === log ? page : undefined
    })
  }

  news(positions: readonly LogPosition[]): Promise<readonly boolean[]> {
    return this.#database.onReader(({ raw }) => {
      const end = newest(raw)
      const current = nameOf(raw)
      return positions.map(({ log, position }) => log !== current || position !== end)
    })
  }

  async prune(now: Date): Promise<void> {
    const { log, held } = await this.#database.onReader(({ raw }) => ({ log: nameOf(raw), held: oldest(raw) }))
    if (log === undefined && held === Number.POSITIVE_INFINITY) return
    await this.#database.onWriter((writer) =>
      writer.savepoint(() => {
        writer.raw.prepare('DELETE FROM meshstore_consumers WHERE kept_until < ?').run(encodeTime(now))
        if (!hasConsumers(writer.raw)) switchOff(writer.raw)
      }),
    )
    // Computed again for each batch: a consumer may have resumed meanwhile at an earlier position.
    while (await this.#database.onReader(({ raw }) => oldest(raw) < unreadFrom(raw))) {
      await this.#database.onWriter(({ raw }) => deleteBefore(raw, unreadFrom(raw)))
      await nextTurn()
    }
  }
}

/** Prepares a statement once on each connection: to parse a poll's statements takes longer than to run them. */
function preparedOnce<S>(prepare: (raw: Sqlite.Database) => S): (raw: Sqlite.Database) => S {
  const known = new WeakMap<Sqlite.Database, S>()
  return (raw) => {
    const statement = known.get(raw) ?? prepare(raw)
    known.set(raw, statement)
    return statement
  }
}
const readOn = preparedOnce((raw) => raw.prepare<[number, number], Row>(READ).raw())
const newestOn = preparedOnce((raw) => raw.prepare<[], string>(NEWEST).pluck())
const nameOn = preparedOnce((raw) => raw.prepare<[string], string>(NAME).pluck())

/** `undefined` if the change at the position, or a change after the position, is missing. */
export function changesAfter(raw: Sqlite.Database, position: string, limit: number): LogPage | undefined {
  const from = seqOf(position)
  const rows = readOn(raw).all(from, limit + 1)
  if (from > 0) {
    const at = rows.shift()
    if (at === undefined || at[0] !== position) return undefined
  }
  const changes = rows
    .slice(0, limit)
    .map(([position, table, key, operation]): LoggedChange => ({ table, key, operation, position }))
  const last = changes.at(-1)?.position ?? position
  if (seqOf(last) !== from + changes.length) return undefined
  return { changes: withInvalidations(changes, position), position: last }
}

export const seqOf = (position: string): number => Number.parseInt(position, 10)

/** The log's name; `undefined` if the log is off. */
const nameOf = (raw: Sqlite.Database): string | undefined => nameOn(raw).get(LOG)

export const newest = (raw: Sqlite.Database): string => newestOn(raw).get() ?? '0/0'
const oldest = (raw: Sqlite.Database): number =>
  raw.prepare<[], number | null>(OLDEST).pluck().get() ?? Number.POSITIVE_INFINITY

/** The lowest number that a consumer still needs. */
function unreadFrom(raw: Sqlite.Database): number {
  const least = raw.prepare<[], number | null>(LEAST).pluck().get() ?? null
  return least === null ? Number.POSITIVE_INFINITY : Math.min(least, seqOf(newest(raw)))
}

const isHeld = (raw: Sqlite.Database, position: string): boolean => changesAfter(raw, position, 1) !== undefined

const hasConsumers = (raw: Sqlite.Database): boolean =>
  raw.prepare('SELECT 1 FROM meshstore_consumers LIMIT 1').get() !== undefined

function switchOn(raw: Sqlite.Database, now: Date): string {
  const log = crypto.randomUUID()
  raw.prepare('INSERT INTO meshstore_state (name, value, updated_at) VALUES (?, ?, ?)').run(LOG, log, encodeTime(now))
  raw.prepare(BEGIN).run()
  return log
}

/** Must run inside a transaction. */
export function forget(raw: Sqlite.Database, consumers: readonly string[]): void {
  for (const name of consumers) raw.prepare('DELETE FROM meshstore_consumers WHERE name = ?').run(name)
  if (!hasConsumers(raw)) switchOff(raw)
}

/** Switches the log off. `prune()` deletes its rows in batches. */
export const switchOff = (raw: Sqlite.Database): unknown =>
  raw.prepare('DELETE FROM meshstore_state WHERE name = ?').run(LOG)

const deleteBefore = (raw: Sqlite.Database, seq: number): unknown =>
  raw
    .prepare(
      'DELETE FROM meshstore_changes WHERE seq IN (SELECT seq FROM meshstore_changes WHERE seq < ? ORDER BY seq LIMIT ?)',
    )
    .run(seq, BATCH)
