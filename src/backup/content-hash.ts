/** A hash over what a database holds, the same on every dialect and for every way to write the same values. */
import { createHash, type Hash } from 'node:crypto'
import type Sqlite from 'better-sqlite3'
import type { TableContent } from '../api.ts'
import { hasTable } from '../migrator/sqlite-file.ts'
import { Turns } from './turns.ts'

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

/** Rows in the order of their keys' bytes; every value length-prefixed, so that no two contents run together. */
async function tableContent(raw: Sqlite.Database, { name, columns }: Table): Promise<TableContent> {
  // Other programs' tables need not have all the columns.
  const there = raw.prepare<[string], string>('SELECT lower(name) FROM pragma_table_info(?)').pluck().all(name)
  const names = columns.map(([column]) => (there.includes(column) ? column : `NULL AS ${column}`))
  // A file that another program made, and that has not been adopted, need not have all three.
  if (!hasTable(raw, name)) return { rows: 0, sha256: createHash('sha256').digest('hex') }
  // Other programs' tables allow NULLs there: they come first. Their integers may be larger than a number can hold.
  const rowsInOrder = raw
    .prepare<[], unknown[]>(`SELECT ${names.join(', ')} FROM ${name} ORDER BY 1`)
    .raw()
    .safeIntegers()
  const hash = createHash('sha256')
  const turns = new Turns()
  let rows = 0
  for (const row of rowsInOrder.iterate()) {
    addRow(hash, row, columns)
    rows++
    if (turns.due()) await turns.next()
  }
  return { rows, sha256: hash.digest('hex') }
}

function addRow(hash: Hash, row: readonly unknown[], columns: Table['columns']): void {
  for (const [index, [, kind]] of columns.entries()) {
    const bytes = bytesOf(row[index], kind)
    const length = Buffer.alloc(4)
    if (bytes === undefined) addOther(hash, row[index])
    else {
      length.writeUInt32BE(bytes.length)
      hash.update(length).update(bytes)
    }
  }
}

/** What the rules do not allow, and another program wrote: a backup takes it as it is. No length is as large as its mark. */
function addOther(hash: Hash, value: unknown): void {
  const bytes = Buffer.isBuffer(value) ? value : Buffer.from(String(value))
  const mark = Buffer.alloc(8, 0xff)
  mark.writeUInt32BE(bytes.length, 4)
  hash
    .update(mark)
    .update(`${value === null ? 'null' : typeof value};`)
    .update(bytes)
}

/** `undefined` for a value that is not of its kind. */
function bytesOf(value: unknown, kind: Kind): Buffer | undefined {
  const bytes = Buffer.alloc(8)
  switch (kind) {
    case 'time':
      if (typeof value !== 'number' && !isSafe(value)) return undefined
      bytes.writeDoubleBE(Number(value))
      return bytes
    case 'integer':
      if (!isSafe(value)) return undefined
      bytes.writeBigInt64BE(value)
      return bytes
    default:
      if (typeof value !== 'string') return undefined
      return Buffer.from(kind === 'json' ? canonical(value) : value)
  }
}

const isSafe = (value: unknown): value is bigint => typeof value === 'bigint' && Number.isSafeInteger(Number(value))

/** Python writes `["a", "b"]`, PostgreSQL's jsonb spaces anew. */
function canonical(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}
