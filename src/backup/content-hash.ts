/** A hash over what a database holds, the same on every dialect and for every way to write the same values. */
import { createHash, type Hash } from 'node:crypto'
import type Sqlite from 'better-sqlite3'
import type { TableContent } from '../api.ts'

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

/** Rows between two turns of the event loop. */
const SLICE = 500

/** Rows in the order of their keys' bytes; every value length-prefixed, so that no two contents run together. */
async function tableContent(raw: Sqlite.Database, { name, columns }: Table): Promise<TableContent> {
  const key = columns[0]?.[0]
  const select = `SELECT ${columns.map(([column]) => column).join(', ')} FROM ${name}`
  // Other programs' tables allow a NULL there, and nothing is greater than that.
  const keyless = raw.prepare<[], unknown[]>(`${select} WHERE ${key} IS NULL ORDER BY rowid`).raw()
  const first = raw.prepare<[number], unknown[]>(`${select} WHERE ${key} IS NOT NULL ORDER BY ${key} LIMIT ?`).raw()
  const next = raw.prepare<[unknown, number], unknown[]>(`${select} WHERE ${key} > ? ORDER BY ${key} LIMIT ?`).raw()
  const hash = createHash('sha256')
  let rows = 0
  for (const row of keyless.iterate()) {
    addRow(hash, row, columns)
    rows++
  }
  for (let page = first.all(SLICE); page.length > 0; ) {
    for (const row of page) addRow(hash, row, columns)
    rows += page.length
    const last = page.at(-1)
    await new Promise((resolve) => setImmediate(resolve))
    page = page.length < SLICE ? [] : next.all(last?.[0], SLICE)
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
  if (kind === 'time' || kind === 'integer') {
    if (typeof value !== 'number' || (kind === 'integer' && !Number.isSafeInteger(value))) return undefined
    const bytes = Buffer.alloc(8)
    if (kind === 'time') bytes.writeDoubleBE(value)
    else bytes.writeBigInt64BE(BigInt(value))
    return bytes
  }
  if (typeof value !== 'string') return undefined
  return Buffer.from(kind === 'json' ? canonical(value) : value)
}

/** Python writes `["a", "b"]`, PostgreSQL's jsonb spaces anew. */
function canonical(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}
