/** Content hash of a database: equal values give equal hashes on each dialect. */
import { createHash, type Hash } from 'node:crypto'
import type Sqlite from 'better-sqlite3'
import type { TableContent } from '../api.ts'
import { EventLoopYield } from '../event-loop.ts'
import { hasTable } from '../migrator/sqlite-file.ts'
import { canonicalList, type Plain } from '../schema/cells.ts'
import { quotedName } from '../schema/described.ts'
import { type Kind, kindOf } from '../schema/kinds.ts'
import { ALL_TABLES, type Table, type TableKey } from '../schema/tables.ts'
import { isOwn, ownOf } from './own-tables.ts'
import { tablesIn } from './sqlite-tables.ts'

/** A value for each table, such as its content hash. */
export interface OfTables<T> {
  readonly tables: Readonly<Record<TableKey, T>>
  /** The application's own tables, by name; absent if there are none. */
  readonly ownTables?: Readonly<Record<string, T>>
}

export type Content = OfTables<TableContent>

export async function contentOf(raw: Sqlite.Database, signal?: AbortSignal): Promise<Content> {
  return eachTable(tablesIn(raw).tables, (table) => tableContent(raw, table, signal))
}

/** Runs `of` for each table, one table after the other. */
export async function eachTable<T>(tables: readonly Table[], of: (table: Table) => Promise<T>): Promise<OfTables<T>> {
  const found = new Map<Table, T>()
  for (const table of tables) found.set(table, await of(table))
  return byName(found)
}

/** In one order, whatever the order of the tables was: texts of it can be compared. */
export function byName<T>(found: ReadonlyMap<Table, T>): OfTables<T> {
  const ours = ALL_TABLES.map((table) => [table.twin, found.get(table)])
  const tables = Object.fromEntries(ours) as Record<TableKey, T>
  const own = ownOf([...found.keys()])
    .map((table) => [table.name, found.get(table) as T] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  return own.length === 0 ? { tables } : { tables, ownTables: Object.fromEntries(own) }
}

/** Rows in the order of their keys' bytes. */
async function tableContent(raw: Sqlite.Database, table: Table, signal?: AbortSignal): Promise<TableContent> {
  const content = new ContentHash(table)
  // A file of another program, not yet adopted, may lack tables and columns.
  if (!isOwn(table) && !hasTable(raw, table.name)) return content.end()
  const there = raw.prepare<[string], string>('SELECT lower(name) FROM pragma_table_info(?)').pluck().all(table.name)
  const names = table.columns.map(({ name }) =>
    isOwn(table) || there.includes(name) ? quotedName(name) : `NULL AS ${name}`,
  )
  // Other programs' tables allow NULL keys, which sort first, and integers beyond a JavaScript number.
  const rowsInOrder = raw
    .prepare<[], unknown[]>(
      `SELECT ${names.join(', ')} FROM ${quotedName(table.name)} ORDER BY ${quotedName(table.key.name)} COLLATE BINARY`,
    )
    .raw()
    .safeIntegers()
  const yielding = new EventLoopYield()
  for (const row of rowsInOrder.iterate()) {
    content.add(row)
    if (!yielding.isDue()) continue
    await yielding.now()
    signal?.throwIfAborted()
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
