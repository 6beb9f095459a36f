import type Sqlite from 'better-sqlite3'
import { nextTurn } from '../../event-loop.ts'
import { encodeTime } from '../../schema/codecs.ts'
import type { ChangeLog, LoggedChange, LogPage, LogPosition } from '../session.ts'
import type { SqliteConnection } from './connection.ts'

/** The database that holds the log. */
interface Host {
  read<T>(run: (reader: SqliteConnection) => T): Promise<T>
  write<T>(run: (writer: SqliteConnection) => T): Promise<T>
}

/** The row of meshstore_state that switches the log on, and names it. */
export const LOG = 'change_log'

interface Row {
  readonly seq: number
  readonly table_name: string
  readonly key: string | null
  readonly operation: string
}

const READ = 'SELECT seq, table_name, key, operation FROM meshstore_changes WHERE seq > ? ORDER BY seq LIMIT ?'
const REGISTER = `INSERT INTO meshstore_consumers (name, position, kept_until) VALUES (?, ?, ?)
  ON CONFLICT (name) DO UPDATE SET position = excluded.position, kept_until = excluded.kept_until`
const AT = 'SELECT position FROM meshstore_consumers WHERE name = ?'
const RENEW = 'UPDATE meshstore_consumers SET position = ?, kept_until = ? WHERE name = ?'
/** The last number that was given, whether or not its row is still there. */
const NEWEST = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'meshstore_changes'"
const OLDEST = 'SELECT min(seq) FROM meshstore_changes'
const LEAST = 'SELECT min(CAST(position AS INTEGER)) FROM meshstore_consumers'
/** Deleted at once: some milliseconds. */
const BATCH = 1_000

/** With one writer, numbers are given in the order of the commits, and without gaps: what was rolled back takes its own with it. */
export class SqliteChangeLog implements ChangeLog {
  readonly #database: Host

  constructor(database: Host) {
    this.#database = database
  }

  at(consumer: string): Promise<LogPosition | undefined> {
    return this.#database.read(({ raw }) => {
      const log = nameOf(raw)
      const position = raw.prepare<[string], string>(AT).pluck().get(consumer)
      return log === undefined || position === undefined ? undefined : { log, position }
    })
  }

  begin(consumer: string, keptUntil: Date): Promise<LogPosition> {
    return this.#database.write((writer) =>
      writer.savepoint(() => {
        const log = nameOf(writer.raw) ?? switchOn(writer.raw)
        const position = String(newest(writer.raw))
        writer.raw.prepare(REGISTER).run(consumer, position, encodeTime(keptUntil))
        return { log, position }
      }),
    )
  }

  resume(consumer: string, keptUntil: Date, { log, position }: LogPosition): Promise<boolean> {
    return this.#database.write((writer) =>
      writer.savepoint(() => {
        if (nameOf(writer.raw) !== log || !isHeld(writer.raw, Number(position))) return false
        writer.raw.prepare(REGISTER).run(consumer, position, encodeTime(keptUntil))
        return true
      }),
    )
  }

  renew(consumer: string, keptUntil: Date, { log, position }: LogPosition): Promise<boolean> {
    return this.#database.write(({ raw }) => {
      if (nameOf(raw) !== log || !isHeld(raw, Number(position))) return false
      return raw.prepare(RENEW).run(position, encodeTime(keptUntil), consumer).changes > 0
    })
  }

  async end(consumer: string): Promise<void> {
    await this.#database.write((writer) => writer.savepoint(() => forget(writer.raw, [consumer])))
  }

  read({ log, position }: LogPosition, limit: number): Promise<LogPage | undefined> {
    return this.#database.read(({ raw }) => {
      const last = newest(raw)
      const page = changesBehind(raw, position, limit)
      // Asked after the rows were read: no name comes back, so that the log was on until then.
      return nameOf(raw) === log && isWhole(page, { behind: Number(position), last }) ? page : undefined
    })
  }

  async prune(now: Date): Promise<void> {
    const { log, held } = await this.#database.read(({ raw }) => ({ log: nameOf(raw), held: oldest(raw) }))
    if (log === undefined && held === Number.POSITIVE_INFINITY) return
    await this.#database.write((writer) =>
      writer.savepoint(() => {
        writer.raw.prepare('DELETE FROM meshstore_consumers WHERE kept_until < ?').run(encodeTime(now))
        if (!hasConsumers(writer.raw)) switchOff(writer.raw)
      }),
    )
    // Asked again for each batch: somebody may have come back meanwhile to an earlier position.
    while (await this.#database.read(({ raw }) => oldest(raw) <= unreadFrom(raw))) {
      await this.#database.write(({ raw }) => deleteUpTo(raw, unreadFrom(raw)))
      await nextTurn()
    }
  }
}

export function changesBehind(raw: Sqlite.Database, position: string, limit: number): LogPage {
  const rows = raw.prepare<[number, number], Row>(READ).all(Number(position), limit)
  const changes = rows.map(({ seq, table_name, key, operation }): LoggedChange => {
    return { table: table_name, key, operation, position: String(seq) }
  })
  return { changes, position: changes.at(-1)?.position ?? position }
}

/** `undefined`: it is switched off. */
const nameOf = (raw: Sqlite.Database): string | undefined =>
  raw.prepare<[string], string>('SELECT value FROM meshstore_state WHERE name = ?').pluck().get(LOG)

export const newest = (raw: Sqlite.Database): number => raw.prepare<[], number>(NEWEST).pluck().get() ?? 0
const oldest = (raw: Sqlite.Database): number =>
  raw.prepare<[], number | null>(OLDEST).pluck().get() ?? Number.POSITIVE_INFINITY

/** Behind this number somebody may still want to read. */
const unreadFrom = (raw: Sqlite.Database): number => raw.prepare<[], number | null>(LEAST).pluck().get() ?? newest(raw)

/** No number is missing: neither was anything deleted that is behind the position, nor is the file an earlier one. */
function isWhole({ changes, position }: LogPage, { behind, last }: { behind: number; last: number }): boolean {
  return changes.length === 0 ? behind === last : Number(position) === behind + changes.length
}

/** All that came after a position is there. */
function isHeld(raw: Sqlite.Database, position: number): boolean {
  const last = newest(raw)
  return position === last || (position < last && oldest(raw) <= position + 1)
}

const hasConsumers = (raw: Sqlite.Database): boolean =>
  raw.prepare('SELECT 1 FROM meshstore_consumers LIMIT 1').get() !== undefined

function switchOn(raw: Sqlite.Database): string {
  const log = crypto.randomUUID()
  raw
    .prepare('INSERT INTO meshstore_state (name, value, updated_at) VALUES (?, ?, ?)')
    .run(LOG, log, encodeTime(new Date()))
  return log
}

/** In a transaction. */
export function forget(raw: Sqlite.Database, consumers: readonly string[]): void {
  for (const name of consumers) raw.prepare('DELETE FROM meshstore_consumers WHERE name = ?').run(name)
  if (!hasConsumers(raw)) switchOff(raw)
}

/** What it holds is deleted in batches, by who prunes. */
export const switchOff = (raw: Sqlite.Database): unknown =>
  raw.prepare('DELETE FROM meshstore_state WHERE name = ?').run(LOG)

const deleteUpTo = (raw: Sqlite.Database, seq: number): unknown =>
  raw
    .prepare(
      'DELETE FROM meshstore_changes WHERE seq IN (SELECT seq FROM meshstore_changes WHERE seq <= ? ORDER BY seq LIMIT ?)',
    )
    .run(seq, BATCH)
