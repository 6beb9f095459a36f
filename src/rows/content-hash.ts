/** A hash over what a database holds, the same on every dialect and for every way to write the same values. */
import { createHash, type Hash } from 'node:crypto'
import type Sqlite from 'better-sqlite3'
import type { TableContent } from '../api.ts'
import { Turns } from '../event-loop.ts'
import { hasTable } from '../migrator/sqlite-file.ts'

type Kind = 'text' | 'json' | 'time' | 'integer'
interface Table {
  readonly name: string
  /** The first is the key. */
  readonly columns: readonly (readonly [name: string, kind: Kind])[]
}

export const CONTENT_TABLES = {
  nodes: {
    name: 'nodes',
    columns: [
      ['node_id', 'text'],
      ['interfaces', 'json'],
      ['protocols', 'json'],
      ['started', 'integer'],
      ['routes_discovered', 'integer'],
      ['created_at', 'time'],
      ['updated_at', 'time'],
    ],
  },
  policies: {
    name: 'policies',
    columns: [
      ['policy_id', 'text'],
      ['yaml_content', 'text'],
      ['rules_count', 'integer'],
      ['created_at', 'time'],
      ['updated_at', 'time'],
    ],
  },
  pathCache: {
    name: 'path_cache',
    columns: [
      ['cache_key', 'text'],
      ['source', 'text'],
      ['destination', 'text'],
      ['k', 'integer'],
      ['bundle_json', 'text'],
      ['created_at', 'time'],
      ['expires_at', 'time'],
    ],
  },
} as const satisfies Record<string, Table>

export type Content = { readonly [T in keyof typeof CONTENT_TABLES]: TableContent }

export async function contentOf(raw: Sqlite.Database): Promise<Content> {
  const nodes = await tableContent(raw, CONTENT_TABLES.nodes)
  const policies = await tableContent(raw, CONTENT_TABLES.policies)
  const pathCache = await tableContent(raw, CONTENT_TABLES.pathCache)
  return { nodes, policies, pathCache }
}

/** Rows in the order of their keys' bytes. */
async function tableContent(raw: Sqlite.Database, table: Table): Promise<TableContent> {
  const { name, columns } = table
  // Other programs' tables need not have all the columns.
  const there = raw.prepare<[string], string>('SELECT lower(name) FROM pragma_table_info(?)').pluck().all(name)
  const names = columns.map(([column]) => (there.includes(column) ? column : `NULL AS ${column}`))
  const content = new ContentHash(table)
  // A file that another program made, and that has not been adopted, need not have all three.
  if (!hasTable(raw, name)) return content.end()
  // Other programs' tables allow NULLs there: they come first. Their integers may be larger than a number can hold.
  const rowsInOrder = raw
    .prepare<[], unknown[]>(`SELECT ${names.join(', ')} FROM ${name} ORDER BY 1`)
    .raw()
    .safeIntegers()
  const turns = new Turns()
  for (const row of rowsInOrder.iterate()) {
    content.add(row)
    if (turns.due()) await turns.next()
  }
  return content.end()
}

/** What is hashed at a time: a call for each value would take longer than the hash itself. */
const PIECE = 65_536
/** A character takes at most so many bytes as UTF-8. */
const MOST_BYTES = 3

/** Of a table, whose rows come in the order of their keys. Every value is length-prefixed, so that no two contents run together. */
export class ContentHash {
  readonly #kinds: readonly Kind[]
  readonly #hash: Hash = createHash('sha256')
  readonly #piece = Buffer.allocUnsafe(PIECE)
  #used = 0
  #rows = 0

  constructor({ columns }: Table) {
    this.#kinds = columns.map(([, kind]) => kind)
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

  #add(value: unknown, kind: Kind): void {
    if (kind === 'time' && (typeof value === 'number' || isSafe(value))) {
      const at = this.#prefixed(8)
      this.#piece.writeDoubleBE(Number(value), at)
    } else if (kind === 'integer' && isSafe(value)) {
      const at = this.#prefixed(8)
      this.#piece.writeBigInt64BE(value, at)
    } else if ((kind === 'text' || kind === 'json') && typeof value === 'string') {
      this.#addText(kind === 'json' ? canonicalList(value) : value)
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

/** As this library writes a list: Python writes `["a", "b"]`, PostgreSQL's jsonb spaces anew. */
export function canonicalList(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}
