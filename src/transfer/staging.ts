/**
 * Staging area of an import: an unnamed temporary SQLite database, which spills to the disk and ends with the process. An import
 * validates a file of any size in constant memory, and finds duplicates, before it writes a row.
 */
import Sqlite from 'better-sqlite3'
import type { Table } from '../schema/tables.ts'

/** A line, or an element of a document, that the import refuses. */
export interface Refusal {
  readonly line: number
  readonly table?: string | undefined
  readonly key?: string | undefined
  /** The column or a part of it, such as `interfaces[3]`; `''` for the whole line. */
  readonly column: string
  readonly message: string
}

export interface StagedRow {
  readonly line: number
  readonly key: string
  /** The row's line. */
  readonly text: string
}

/** How an import treats a row whose key exists. */
export type OnConflict = 'error' | 'skip' | 'replace'

/** `rows` are ordered by key, `refused` by line. `late`: the conflict was found in the database, not in the file. */
const SCHEMA = `
CREATE TABLE rows (t INTEGER, key TEXT, line INTEGER, text TEXT);
CREATE UNIQUE INDEX rows_by_key ON rows (t, key);
CREATE TABLE refused (line INTEGER, t INTEGER, key TEXT, "column" TEXT, message TEXT, late INTEGER);`

const BATCH_ROWS = 5_000
const BATCH_BYTES = 4 * 1_048_576

export class Staging implements Disposable {
  readonly #raw: Sqlite.Database
  readonly #names: readonly string[]
  readonly #statements

  constructor(tables: readonly Table[]) {
    this.#names = tables.map(({ name }) => name)
    this.#raw = new Sqlite('')
    this.#raw.pragma('journal_mode = OFF')
    this.#raw.pragma('synchronous = OFF')
    // The cache holds 8,000 KiB; the rest is on the disk.
    this.#raw.pragma('cache_size = -8000')
    this.#raw.exec(SCHEMA)
    const prepare = (sql: string) => this.#raw.prepare<unknown[], unknown>(sql)
    this.#statements = {
      add: prepare('INSERT INTO rows VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING'),
      replace: prepare('UPDATE rows SET line = ?, text = ? WHERE t = ? AND key = ?'),
      lineOf: this.#raw.prepare<[number, string], number>('SELECT line FROM rows WHERE t = ? AND key = ?').pluck(),
      refuse: prepare('INSERT INTO refused VALUES (?, ?, ?, ?, ?, ?)'),
    }
    this.#raw.exec('BEGIN')
  }

  /** Adds a row. If its key was seen before, returns the line of the earlier row; `'replace'` keeps the new row. */
  add(table: string, row: StagedRow, onConflict: OnConflict): number | undefined {
    const { add, replace, lineOf } = this.#statements
    const { line, key, text } = row
    const t = this.#names.indexOf(table)
    if (add.run([t, key, line, text]).changes > 0) return undefined
    const before = lineOf.get(t, key)
    if (onConflict === 'replace') replace.run([line, text, t, key])
    return before
  }

  refuse({ line, table, key, column, message }: Refusal, late = false): void {
    const t = table === undefined ? null : this.#names.indexOf(table)
    this.#statements.refuse.run([line, t, key ?? null, column, message, late ? 1 : 0])
  }

  /** Forgets the conflicts of an earlier attempt of the transaction: the database may have changed. */
  forgetLate(): void {
    this.#raw.exec('DELETE FROM refused WHERE late')
  }

  /** Number of refused lines. A line may have several refusals. */
  get refusedLines(): number {
    return Number(this.#raw.prepare('SELECT count(DISTINCT line) FROM refused').pluck().get())
  }

  get size(): number {
    return Number(this.#raw.prepare('SELECT count(*) FROM rows').pluck().get())
  }

  /** Small batches of a table's rows, in the order of their keys. */
  *batches(table: string): Generator<StagedRow[]> {
    const select = (from: string) =>
      this.#raw.prepare<[number, string, number], StagedRow>(
        `SELECT line, key, text FROM rows WHERE t = ? AND key ${from} ? ORDER BY key LIMIT ?`,
      )
    // An own table may have an empty key.
    let next = select('>=')
    for (let after = ''; ; next = select('>')) {
      const batch: StagedRow[] = []
      let size = 0
      for (const row of next.iterate(this.#names.indexOf(table), after, BATCH_ROWS)) {
        batch.push(row)
        size += row.text.length
        if (size >= BATCH_BYTES) break
      }
      const last = batch.at(-1)
      if (last === undefined) return
      yield batch
      after = last.key
    }
  }

  *refusals(): Generator<Refusal> {
    const select = this.#raw
      .prepare<[], [number, number | null, string | null, string, string]>(
        'SELECT line, t, key, "column", message FROM refused ORDER BY line, rowid',
      )
      .raw()
    for (const [line, t, key, column, message] of select.iterate()) {
      yield { line, table: t === null ? undefined : this.#names[t], key: key ?? undefined, column, message }
    }
  }

  [Symbol.dispose](): void {
    this.#raw.close()
  }
}
