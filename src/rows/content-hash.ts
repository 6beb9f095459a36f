/** Content hash of a database: equal values give equal hashes on each dialect. */
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

/** Runs `of` for each table, one table after the other. */
export async function eachTable<T>(of: (table: Table<TableName>) => Promise<T>): Promise<Record<TableKey, T>> {
  const found: [string, T][] = []
  for (const table of ALL_TABLES) found.push([table.twin, await of(table)])
  return Object.fromEntries(found) as Record<TableKey, T>
}

/** Rows in the order of their keys' bytes. */
async function tableContent(raw: Sqlite.Database, table: Table): Promise<TableContent> {
  const content = new ContentHash(table)
  // A file of another program, not yet adopted, may lack tables and columns.
  if (!hasTable(raw, table.name)) return content.end()
  const there = raw.prepare<[string], string>('SELECT lower(name) FROM pragma_table_info(?)').pluck().all(table.name)
  const names = table.columns.map(({ name }) => (there.includes(name) ? name : `NULL AS ${name}`))
  // Other programs' tables allow NULL keys, which sort first, and integers beyond a JavaScript number.
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

/** Bytes per call of the hash: a call for each value would take longer than the hash itself. */
const PIECE = 65_536
/** Most UTF-8 bytes of one UTF-16 unit. */
const MOST_BYTES = 3

/** Hashes a table. Add the rows in the order of their keys. Each value has a length prefix, so that the hash is unambiguous. */
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

  /** Adds a row's cells as the driver returns them, integers as BigInt. */
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

  /** Writes the length prefix, and returns the offset of the value's bytes. */
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

  /** Hashes a value that another program wrote against the rules. Its prefix is larger than any length prefix. */
  #addOther(value: unknown): void {
    this.#flush()
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value))
    const prefix = Buffer.alloc(8, 0xff)
    prefix.writeUInt32BE(bytes.length, 4)
    this.#hash
      .update(prefix)
      .update(`${value === null ? 'null' : typeof value};`)
      .update(bytes)
  }

  #flush(): void {
    this.#hash.update(this.#piece.subarray(0, this.#used))
    this.#used = 0
  }
}

const isSafe = (value: unknown): value is bigint => typeof value === 'bigint' && Number.isSafeInteger(Number(value))
