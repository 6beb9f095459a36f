/** Which rows of a file that another program made can be kept: those that the library would read as they are. */

import { isUtf8 } from 'node:buffer'
import type Sqlite from 'better-sqlite3'
import { nextTurn } from '../event-loop.ts'
import { BrokenText, type Cell, type Problem, type StoredRow } from '../schema/cells.ts'
import * as codecs from '../schema/codecs.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'

export type Row = StoredRow['row']

export type Verdict =
  | { readonly fate: 'kept'; readonly normalised: boolean }
  | { readonly fate: 'dropped' }
  | { readonly fate: 'refused'; readonly problems: readonly Problem[] }

export interface SharedTable {
  readonly name: 'nodes' | 'policies' | 'path_cache'
  /** In the order of the client's DDL, with the affinity that it gives them. */
  readonly columns: Readonly<Record<string, readonly string[]>>
  /** NULL there becomes 0. */
  readonly defaults: readonly string[]
  readonly judge: (row: Row) => Verdict
}

const TEXT = ['TEXT']
const REAL = ['REAL']
const INTEGER = ['INTEGER']
/** Python's files have both spellings of `started`. */
const FLAG = ['BOOLEAN', 'INTEGER']

export const SHARED: readonly SharedTable[] = [
  {
    name: 'nodes',
    columns: {
      node_id: TEXT,
      interfaces: TEXT,
      protocols: TEXT,
      started: FLAG,
      routes_discovered: INTEGER,
      created_at: REAL,
      updated_at: REAL,
    },
    defaults: ['started', 'routes_discovered'],
    judge: (row) =>
      judged(row, {
        node_id: isId,
        interfaces: decodes(codecs.decodeStringList),
        protocols: decodes(codecs.decodeStringList),
        started: orNull((cell) => (cell === 0n || cell === 1n ? undefined : 'is neither 0 nor 1')),
        routes_discovered: orNull(isSafeInteger),
        created_at: isTime,
        updated_at: isTime,
      }),
  },
  {
    name: 'policies',
    columns: { policy_id: TEXT, yaml_content: TEXT, rules_count: INTEGER, created_at: REAL, updated_at: REAL },
    defaults: [],
    judge: (row) =>
      judged(row, {
        policy_id: isId,
        yaml_content: decodes(codecs.decodeText),
        rules_count: isSafeInteger,
        created_at: isTime,
        updated_at: isTime,
      }),
  },
  {
    name: 'path_cache',
    columns: {
      cache_key: TEXT,
      source: TEXT,
      destination: TEXT,
      k: INTEGER,
      bundle_json: TEXT,
      created_at: REAL,
      expires_at: REAL,
    },
    defaults: [],
    judge: (row) => (isAmbiguous(row.source) || isAmbiguous(row.destination) ? { fate: 'dropped' } : judgedPath(row)),
  },
]

const isAmbiguous = (id: Cell | undefined): boolean => typeof id === 'string' && /[:%]/.test(id)

const judgedPath = (row: Row): Verdict =>
  judged(row, {
    cache_key: (cell) => (isItsKey(cell, row) ? undefined : 'is not source:destination:k'),
    source: isId,
    destination: isId,
    k: (cell) => rules.isK(typeof cell === 'bigint' ? Number(cell) : cell),
    bundle_json: decodes(codecs.decodeBundle),
    created_at: isTime,
    expires_at: isTime,
  })

function isItsKey(cell: Cell, { source, destination, k }: Row): boolean {
  if (typeof source !== 'string' || typeof destination !== 'string' || typeof k !== 'bigint') return true
  return cell === cacheKey({ source, destination, k: Number(k) })
}

type Judge = (cell: Cell) => string | undefined

function judged(row: Row, judges: Readonly<Record<string, Judge>>): Verdict {
  const problems: Problem[] = []
  let normalised = false
  for (const [column, judge] of Object.entries(judges)) {
    const cell = row[column] ?? null
    const message = cell instanceof BrokenText ? 'is no UTF-8' : judge(cell)
    if (message !== undefined) problems.push({ column, message })
    else if (cell === null) normalised = true
  }
  return problems.length > 0 ? { fate: 'refused', problems } : { fate: 'kept', normalised }
}

const isId: Judge = (cell) => (cell === null ? 'is NULL' : rules.isId(cell))

const orNull =
  (judge: Judge): Judge =>
  (cell) =>
    cell === null ? undefined : judge(cell)

const isSafeInteger: Judge = (cell) =>
  typeof cell !== 'bigint'
    ? 'is no integer'
    : Number.isSafeInteger(Number(cell))
      ? undefined
      : 'is larger than 2^53 − 1'

/** Without a value: it may be anything. */
function decodes(decode: (value: unknown) => unknown): Judge {
  return (cell) => {
    try {
      decode(cell)
      return undefined
    } catch (error) {
      if (error instanceof codecs.UndecodableValue) return error.message
      throw error
    }
  }
}

const isTime: Judge = decodes(codecs.decodeTime)

export type TableRow = Required<StoredRow>

/** Rows between two turns of the event loop. */
const SLICE = 500
const SMALLEST_ROWID = -(2n ** 63n)

/** A table's rows in the order of their rowids, in slices. Other statements may run between two of them. */
export async function* slicesOf(raw: Sqlite.Database, table: SharedTable): AsyncGenerator<TableRow[]> {
  const names = Object.keys(table.columns)
  // The bytes too: what is no UTF-8 would come as something else that is.
  const cells = names.map((name) => `${name}, CASE typeof(${name}) WHEN 'text' THEN CAST(${name} AS BLOB) END`)
  const sql = `SELECT rowid, ${cells.join(', ')} FROM ${table.name} WHERE rowid >= ? ORDER BY rowid LIMIT ${SLICE}`
  const select = raw.prepare<[bigint], Cell[]>(sql).raw().safeIntegers()
  const utf8 = raw.pragma('encoding', { simple: true }) === 'UTF-8'
  for (let from = SMALLEST_ROWID; ; ) {
    const slice = select.all(from).map(([rowid, ...values]) => {
      const entries = names.map((name, index): [string, Cell] => {
        const [cell = null, bytes] = [values[2 * index], values[2 * index + 1]]
        return [name, utf8 && bytes instanceof Buffer && !isUtf8(bytes) ? new BrokenText(bytes) : cell]
      })
      return { rowid: rowid as bigint, row: Object.fromEntries(entries) }
    })
    if (slice.length > 0) yield slice
    const last = slice.at(-1)
    if (last === undefined || slice.length < SLICE) return
    from = last.rowid + 1n
    await nextTurn()
  }
}
