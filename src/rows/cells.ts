/** A row's cells on their way from one database into another. */
import { CONTENT_TABLES, ContentHash, canonicalList } from './content-hash.ts'
import type { TableName } from './tables.ts'

const CONTENT = { nodes: 'nodes', policies: 'policies', path_cache: 'pathCache' } as const satisfies Record<
  TableName,
  keyof typeof CONTENT_TABLES
>

const KINDS = {
  nodes: CONTENT_TABLES.nodes.columns.map(([, kind]) => kind),
  policies: CONTENT_TABLES.policies.columns.map(([, kind]) => kind),
  path_cache: CONTENT_TABLES.pathCache.columns.map(([, kind]) => kind),
}

/** A cell that every dialect has the same of: lists as this library writes them, flags as integers, all else as it is. */
export type Plain = string | number

/** Of a row that has been judged. */
export const plainCells = (table: TableName, cells: readonly unknown[]): Plain[] =>
  KINDS[table].map((kind, index) => {
    const cell = cells[index]
    if (typeof cell === 'string') return kind === 'json' ? canonicalList(cell) : cell
    return typeof cell === 'boolean' ? Number(cell) : (cell as number)
  })

/** Of a table's rows, the same in every database that holds them. */
export class PlainHash {
  readonly #kinds: readonly string[]
  readonly #content: ContentHash

  constructor(table: TableName) {
    this.#kinds = KINDS[table]
    this.#content = new ContentHash(CONTENT_TABLES[CONTENT[table]])
  }

  add(row: readonly Plain[]): void {
    this.#content.add(row.map((cell, index) => this.#hashed(cell, this.#kinds[index])))
  }

  #hashed(cell: Plain, kind: string | undefined): unknown {
    if (kind === 'integer') return typeof cell === 'number' && Number.isSafeInteger(cell) ? BigInt(cell) : cell
    // SQLite keeps no sign of zero.
    return kind === 'time' && cell === 0 ? 0 : cell
  }

  end() {
    return this.#content.end()
  }
}
