/** Two own tables, made by hand: as an application's migrations make them, with foreign keys, indexes, triggers and descriptions. */
import Sqlite from 'better-sqlite3'
import pg from 'pg'
import { rowOfTable, tableOfRow } from '../../src/schema/described.ts'
import type { KindName } from '../../src/schema/kinds.ts'
import type { Table } from '../../src/schema/tables.ts'
import { ownTriggersOnPostgres, ownTriggersOnSqlite } from '../../src/schema/trigger-sql.ts'

const described = (name: string, columns: Readonly<Record<string, KindName | `${KindName}?`>>, more = {}): Table =>
  tableOfRow(
    `table:${name}`,
    JSON.stringify({
      name,
      key: Object.keys(columns).find((column) => column === `${name.slice(0, -1)}_id`),
      columns: Object.entries(columns).map(([column, kind]) => ({
        name: column,
        kind: kind.replace('?', ''),
        nullable: kind.endsWith('?'),
      })),
      ...more,
    }),
  )

/** In the file before its parent by name: `links` refers to `sites` and to `nodes`. The key is not the first column. */
export const LINKS = described(
  'links',
  {
    cost: 'real',
    link_id: 'text',
    source: 'text',
    site_id: 'text?',
    hops: 'integer',
    up: 'boolean?',
    tags: 'list',
    extra: 'json?',
    seen_at: 'time',
    order: 'text?',
  },
  { invalidates: { columns: ['cost', 'source'], paths: 'all' } },
)
export const SITES = described('sites', { site_id: 'text', name: 'text' })
export const OWN = [LINKS, SITES] as const

export const SQLITE_TABLES = `
CREATE TABLE sites (site_id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL);
CREATE UNIQUE INDEX sites_by_name ON sites (name);
CREATE TABLE links (
  cost REAL NOT NULL DEFAULT 1, link_id TEXT PRIMARY KEY NOT NULL,
  source TEXT NOT NULL REFERENCES nodes (node_id), site_id TEXT REFERENCES sites,
  hops INTEGER NOT NULL, up INTEGER, tags TEXT NOT NULL, extra TEXT, seen_at REAL NOT NULL, "order" TEXT);
CREATE INDEX links_by_source ON links (source);
CREATE INDEX links_by_site ON links (site_id);`

const POSTGRES_TABLES = `
CREATE TABLE sites (site_id text COLLATE "C" PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE links (
  cost double precision NOT NULL DEFAULT 1, link_id text PRIMARY KEY,
  source text COLLATE "C" NOT NULL REFERENCES nodes (node_id), site_id text COLLATE "C" REFERENCES sites,
  hops integer NOT NULL, up boolean, tags jsonb NOT NULL, extra text, seen_at double precision NOT NULL, "order" text);
CREATE INDEX links_by_source ON links (source);
CREATE INDEX links_by_site ON links (site_id);
DO $$ BEGIN IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'meshstore_app') THEN
  GRANT SELECT, INSERT, UPDATE, DELETE ON sites, links TO meshstore_app; END IF; END $$;`

const LEDGER = `(id INTEGER PRIMARY KEY, hash TEXT NOT NULL, created_at NUMERIC);`
export const APPLIED = '2026-11-20T10:00:00.000Z'
const RECORD = `(id, hash, created_at) VALUES (1, 'abcdef0123456789', ${Date.parse(APPLIED)});`
const STATE = 'INSERT INTO meshstore_state (name, value, updated_at) VALUES'

/** A database that has our tables gets the application's. */
export const addOwnTables = (url: string): Promise<void> => (url.startsWith('postgres') ? onPostgres(url) : inFile(url))

async function inFile(path: string): Promise<void> {
  const raw = new Sqlite(path, { fileMustExist: true })
  raw.exec(`BEGIN; ${SQLITE_TABLES} CREATE TABLE __app_migrations ${LEDGER} INSERT INTO __app_migrations ${RECORD}`)
  for (const trigger of OWN.flatMap(ownTriggersOnSqlite)) raw.exec(trigger)
  for (const table of OWN) raw.prepare(`${STATE} (?, ?, 0)`).run(...rowOfTable(table))
  raw.exec('COMMIT')
  raw.close()
}

async function onPostgres(url: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query(`BEGIN; ${POSTGRES_TABLES} CREATE SCHEMA IF NOT EXISTS drizzle;
    CREATE TABLE drizzle.__app_migrations ${LEDGER} INSERT INTO drizzle.__app_migrations ${RECORD}`)
  for (const table of OWN) {
    for (const trigger of ownTriggersOnPostgres(table)) await client.query(trigger)
    await client.query(`${STATE} ($1, $2, 0)`, rowOfTable(table))
  }
  await client.query('COMMIT')
  await client.end()
}

type Cells = readonly (string | number | null)[]

/** Rows for `nodes` that are there: values that a careless copy would change. */
export const siteRows: readonly Cells[] = [
  ['ä', 'last by bytes'],
  ['B', "O'Brien"],
  ['a', '"quoted"'],
  ['𐍈', 'beyond the BMP'],
  ['', 'empty key'],
]
export const linkRows = (nodes: readonly string[]): Cells[] =>
  nodes.flatMap((node, at): Cells[] => [
    [0.1 + at, `${node}-1`, node, 'a', -5, 1, '["x","\\u00e4"]', '{"b": 1,  "a":[]}', 1_700_000_000.123_456, null],
    [5e-324, `${node}-2`, node, null, 2_147_483_647, 0, '[]', null, 0, 'ascending'],
    [-1.797_693_134_862_315_7e308, `${node}-Z`, node, 'ä', 0, null, '["\\"","\\\\"]', '{}', -1.5, ''],
  ])

/** Writes past the library. */
export async function addOwnRows(url: string, nodes: readonly string[]): Promise<void> {
  const rows = [...siteRows.map((row) => [SITES, row] as const), ...linkRows(nodes).map((row) => [LINKS, row] as const)]
  const insert = ({ name, columns }: Table, place: (at: number) => string): string =>
    `INSERT INTO ${name} (${columns.map((column) => `"${column.name}"`).join()}) VALUES (${columns.map((_, at) => place(at)).join()})`
  if (!url.startsWith('postgres')) {
    const raw = new Sqlite(url, { fileMustExist: true })
    for (const [table, row] of rows) raw.prepare(insert(table, () => '?')).run(row)
    raw.close()
    return
  }
  const client = new pg.Client(url)
  await client.connect()
  for (const [table, row] of rows) {
    const cells = row.map((cell, at) => (table.columns[at]?.kind === 'boolean' && cell !== null ? cell === 1 : cell))
    await client.query(
      insert(table, (at) => `$${at + 1}`),
      cells,
    )
  }
  await client.end()
}

/** The cells of each table as text, in the order of the keys' bytes: owes nothing to the library. */
export async function ownContent(url: string): Promise<string> {
  const content: unknown[] = []
  for (const { name, key, columns } of OWN) {
    const rows = await rowsOf(url, `SELECT ${columns.map((column) => `"${column.name}"`).join()} FROM ${name}`)
    const at = columns.indexOf(key)
    const plain = rows.map((row) => row.map((cell, index) => plainCell(cell, columns[index]?.kind)))
    content.push([
      name,
      plain.toSorted((a, b) => Buffer.compare(Buffer.from(String(a[at])), Buffer.from(String(b[at])))),
    ])
  }
  return JSON.stringify(content)
}

function plainCell(cell: unknown, kind: KindName | undefined): unknown {
  if (cell === null) return null
  if (kind === 'boolean') return Number(cell)
  return kind === 'list' ? (typeof cell === 'string' ? JSON.parse(cell) : cell) : cell
}

async function rowsOf(url: string, sql: string): Promise<unknown[][]> {
  if (!url.startsWith('postgres')) {
    const raw = new Sqlite(url, { readonly: true })
    const rows = raw.prepare<[], unknown[]>(sql).raw().all()
    raw.close()
    return rows
  }
  const client = new pg.Client(url)
  await client.connect()
  const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' })
  await client.end()
  return rows
}
