/** A hash over what a database holds, the same on every dialect and for every way to write the same values. */
import { createHash, type Hash } from 'node:crypto'
import type Sqlite from 'better-sqlite3'
import type { TableContent } from '../api.ts'
import { EventLoopYield } from '../event-loop.ts'
import { hasTable } from '../migrator/sqlite-file.ts'
import { canonicalList, type Plain } from '../schema/cells.ts'
import { type Kind, kindOf } from '../schema/kinds.ts'
import { ALL_TABLES, type Table, type TableKey, type TableName } from '../schema/tables.ts'

export type Content = Readonly<Record<TableKey, TableContent>>

export async function contentOf(raw: Sqlite.Database): Promise<Content> {
  return eachTable((table) => tableContent(raw, table))
}

/** One after the other. */
export async function eachTable<T>(of: (table: Table<TableName>) => Promise<T>): Promise<Record<TableKey, T>> {
  const found: [string, T][] = []
  for (const table of ALL_TABLES) found.push([table.twin, await of(table)])
  return Object.fromEntries(found) as Record<TableKey, T>
}

/** Rows in the order of their keys' bytes. */
async function tableContent(raw: Sqlite.Database, table: Table): Promise<TableContent> {
  const content = new ContentHash(table)
  // A file that another program made, and that has not been adopted, need not have all tables, nor all of their columns.
  if (!hasTable(raw, table.name)) return content.end()
  const there = raw.prepare<[string], string>('SELECT lower(name) FROM pragma_table_info(?)').pluck().all(table.name)
  const names = table.columns.map(({ name }) => (there.includes(name) ? name : `NULL AS ${name}`))
  // Other programs' tables allow NULLs there: they come first. Their integers may be larger than a number can hold.
  const rowsInOrder = raw
    .prepare<[], unknown[]>(`SELECT ${names.join(', ')} FROM ${table.name} ORDER BY ${table.key.name}`)
    .raw()
    .safeIntegers()
  const yielding = new EventLoopYield()
  for (const row of rowsInOrder.iterate()) {
    content.add(row)
    if (yielding.isDue()) await yielding.now()
  }
  return content.end()
}

/** What is hashed at a time: a call for each value would take longer than the hash itself. */
const PIECE = 65_536
/** A character takes at most so many bytes as UTF-8. */
const MOST_BYTES = 3

/** Of a table, whose rows come in the order of their keys. Every value is length-prefixed, so that no two contents run together. */
export class ContentHash {
  readonly #kinds: readonly Kind['hash'][]
  readonly #hash: Hash = createHash('sha256')
  readonly #piece = Buffer.allocUnsafe(PIECE)
  #used = 0
  #rows = 0

  constructor({ columns }: Table) {
    this.#kinds = columns.map((column) => kindOf(column).hash)
  }

  /** Rows that are the same on every dialect. SQLite keeps no sign of zero. */
  addPlain(row: readonly Plain[]): void {
    this.add(row.map((cell) => (Number.isSafeInteger(cell) ? BigInt(cell as number) : cell)))
  }

  /** A row's cells as the driver gives them out, integers as BigInt. */
  add(row: readonly unknown[]): void {
    for (const [index, kind] of this.#kinds.entries()) this.#add(row[index], kind)
    this.#rows++
  }

  end(): TableContent {
    this.#flush()
    return { rows: this.#rows, sha256: this.#hash.digest('hex') }
  }

  #add(value: unknown, kind: Kind['hash']): void {
    if (kind === 'time' && (typeof value === 'number' || isSafe(value))) {
      const at = this.#prefixed(8)
      this.#piece.writeDoubleBE(Number(value), at)
    } else if (kind === 'integer' && isSafe(value)) {
      const at = this.#prefixed(8)
      this.#piece.writeBigInt64BE(value, at)
    } else if ((kind === 'text' || kind === 'list') && typeof value === 'string') {
      this.#addText(kind === 'list' ? canonicalList(value) : value)
    } else this.#addOther(value)
  }

  /** Where so many bytes are to be written, behind their length. */
  #prefixed(length: number): number {
    if (this.#used + 4 + length > PIECE) this.#flush()
    const at = this.#piece.writeUInt32BE(length, this.#used)
    this.#used = at + length
    return at
  }

  #addText(text: string): void {
    const most = MOST_BYTES * text.length
    if (this.#used + 4 + most > PIECE) this.#flush()
    if (4 + most > PIECE) {
      const bytes = Buffer.from(text)
      const length = Buffer.allocUnsafe(4)
      length.writeUInt32BE(bytes.length)
      this.#hash.update(length).update(bytes)
      return
    }
    const bytes = this.#piece.write(text, this.#used + 4)
    this.#piece.writeUInt32BE(bytes, this.#used)
    this.#used += 4 + bytes
  }

  /** What the rules do not allow, and another program wrote: a backup takes it as it is. No length is as large as its mark. */
  #addOther(value: unknown): void {
    this.#flush()
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value))
    const mark = Buffer.alloc(8, 0xff)
    mark.writeUInt32BE(bytes.length, 4)
    this.#hash
      .update(mark)
      .update(`${value === null ? 'null' : typeof value};`)
      .update(bytes)
  }

  #flush(): void {
    this.#hash.update(this.#piece.subarray(0, this.#used))
    this.#used = 0
  }
}

const isSafe = (value: unknown): value is bigint => typeof value === 'bigint' && Number.isSafeInteger(Number(value))
