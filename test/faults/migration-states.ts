/** The state of a database at a moment: its catalog, its ledger and every row. Two equal states were made alike. */
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync } from 'node:fs'
import { basename } from 'node:path'
import Sqlite from 'better-sqlite3'
import { catalogOf } from '../postgres/support/catalog.ts'
import type { TestDatabase } from '../postgres/support/database.ts'
import { temporaryFolder } from '../support/folders.ts'

/** Facts by name. */
export type State = Readonly<Record<string, string>>

/** The names of what is not alike. */
export const unlike = (found: State, expected: State): string[] =>
  [...new Set([...Object.keys(found), ...Object.keys(expected)])].filter((name) => found[name] !== expected[name])

/** The place among the states, or -1. */
export const among = (states: readonly State[], found: State): number =>
  states.findIndex((state) => unlike(found, state).length === 0)

/** When each migration was applied, in the order in which the ledger has them: as many as there are rows. */
export const LEDGER = 'ledger'
const LEDGER_TABLE = '__drizzle_migrations'

/** Looks at a copy: whoever closes the file last would tidy up what the next run is to find. `without`: rows to leave out. */
export function sqliteState(path: string, without?: string): State {
  using folder = temporaryFolder()
  const copy = folder.file(basename(path))
  for (const suffix of ['', '-wal', '-journal'])
    if (existsSync(path + suffix)) copyFileSync(path + suffix, copy + suffix)
  const raw = new Sqlite(copy)
  try {
    const integrity = String(raw.pragma('integrity_check', { simple: true }))
    if (without !== undefined) raw.exec(without)
    return { integrity, ...contentOf(raw) }
  } finally {
    raw.close()
  }
}

function contentOf(raw: Sqlite.Database): State {
  const catalog = raw
    .prepare<[], { type: string; name: string }>('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2')
    .all()
  const facts: Record<string, string> = { catalog: JSON.stringify(catalog), [LEDGER]: '[]' }
  for (const { name } of catalog.filter(({ type }) => type === 'table')) {
    // The noted names count, and not when they were noted.
    if (name === 'meshstore_state') raw.exec(`UPDATE ${name} SET updated_at = 0`)
    const rows = raw.prepare<[], unknown[]>(`SELECT rowid, * FROM "${name}" ORDER BY rowid`).raw().safeIntegers().all()
    if (name === LEDGER_TABLE) facts[LEDGER] = JSON.stringify(rows.map(([, , ...row]) => row.map(String)))
    else facts[`rows of ${name}`] = hashOf(rows.map((row) => JSON.stringify(row.map(exact))))
  }
  return facts
}

const exact = (cell: unknown): string =>
  Buffer.isBuffer(cell) ? `blob ${cell.toString('hex')}` : `${typeof cell} ${cell}`

const INCIDENTAL: Readonly<Record<string, string>> = {
  meshstore_state: 'updated_at',
  path_cache_marks: 'marked_at,transaction',
  path_cache_stamps: 'transaction,snapshot',
}

const hashOf = (rows: readonly string[]): string =>
  `${rows.length} with ${createHash('sha256').update(rows.join('\n')).digest('hex').slice(0, 16)}`

/** `without`: of which nodes' rows are left out, as a condition. */
export async function postgresState(database: TestDatabase, without = 'false'): Promise<State> {
  const facts: Record<string, string> = { catalog: JSON.stringify(await catalogOf(database)), [LEDGER]: '[]' }
  const tables = await database.query<{ schema: string; name: string }>(
    `SELECT nspname::text AS schema, relname::text AS name FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE nspname IN ('public', 'drizzle') AND relkind = 'r' ORDER BY 1, 2`,
  )
  for (const { schema, name } of tables) {
    if (name === LEDGER_TABLE) {
      // An id may have been given to a transaction that was not committed.
      const rows = await database.query(`SELECT hash, created_at::text FROM ${schema}.${name} ORDER BY id`)
      facts[LEDGER] = JSON.stringify(rows.map((row) => Object.values(row)))
      continue
    }
    // When it was noted, and by which transaction, is no fact.
    const row = `to_jsonb(each) - '{${INCIDENTAL[name] ?? ''}}'::text[]`
    const rows = await database.query<{ row: string }>(
      `SELECT (${row})::text AS row FROM ${schema}.${name} AS each ${name === 'nodes' ? `WHERE NOT (${without})` : ''} ORDER BY 1`,
    )
    facts[`rows of ${name}`] = hashOf(rows.map((each) => each.row))
  }
  return facts
}
