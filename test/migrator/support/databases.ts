/** Empty databases of both dialects, and all that is in them. */
import { readdirSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe } from 'vitest'
import { catalogOf } from '../../postgres/support/catalog.ts'
import { createDatabase } from '../../postgres/support/database.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import type { Dialect } from '../../schema/tree-copy.ts'
import { temporaryFolder } from '../../support/folders.ts'

export interface Scratch extends AsyncDisposable {
  readonly dialect: Dialect
  readonly url: string
  /** The path, if the database is a file; its folder has nothing else. */
  readonly path: string
  /** SQL of others. It may have several statements, and then gives no rows. */
  query<R extends object>(sql: string): Promise<R[]>
  /** Catalog, ledger and rows: two that are alike are the same text. */
  snapshot(): Promise<string>
  /** The catalog of our tables and those of others. */
  catalog(): Promise<string[]>
  ledger(): Promise<{ hash: string; when: number }[]>
}

const TABLES = ['nodes', 'policies', 'path_cache', 'meshstore_state']

export function sqliteScratch(): Scratch {
  const folder = temporaryFolder()
  const path = folder.file('mesh.db')
  const query: Scratch['query'] = async <R extends object>(sql: string): Promise<R[]> =>
    using(path, (raw) => ask<R>(raw, sql))
  const catalog = async (): Promise<string[]> => using(path, (raw) => raw.prepare<[], string>(CATALOG).pluck().all())
  return {
    dialect: 'sqlite',
    url: `sqlite:${path}`,
    path,
    query,
    catalog,
    snapshot: async () => {
      const names = await query<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
      const rows = []
      for (const { name } of names) rows.push([name, await query(`SELECT * FROM "${name}" ORDER BY rowid`)])
      return JSON.stringify({ catalog: await catalog(), rows, files: filesIn(folder.path) }, null, 1)
    },
    ledger: () => query('SELECT hash, created_at AS "when" FROM __drizzle_migrations ORDER BY 2'),
    [Symbol.asyncDispose]: async () => folder[Symbol.dispose](),
  }
}

const CATALOG =
  "SELECT name || ' ' || sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY 1"

/** SQLite's log comes and goes as the file is looked at. */
export const filesIn = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => !/-(wal|shm)$/.test(name))
    .sort()

export function using<T>(path: string, work: (raw: Sqlite.Database) => T): T {
  const raw = new Sqlite(path)
  try {
    return work(raw)
  } finally {
    raw.close()
  }
}

function ask<R>(raw: Sqlite.Database, sql: string): R[] {
  if (/^\s*SELECT/i.test(sql)) return raw.prepare<[], R>(sql).all()
  raw.exec(sql)
  return []
}

export async function postgresScratch(): Promise<Scratch> {
  const database = await createDatabase()
  const catalog = (): Promise<string[]> => catalogOf(database)
  const ledger = async (): Promise<{ hash: string; when: number }[]> =>
    (
      await database.query<{ hash: string; when: string }>(
        'SELECT hash, created_at AS "when" FROM drizzle.__drizzle_migrations ORDER BY 2',
      )
    ).map(({ hash, when }) => ({ hash, when: Number(when) }))
  return {
    dialect: 'postgresql',
    url: database.url,
    path: '',
    query: (sql) => database.query(sql),
    catalog,
    ledger,
    snapshot: async () => {
      const names = await database.query<{ name: string }>(
        `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
         WHERE schemaname IN ('public', 'drizzle') ORDER BY 1`,
      )
      const rows = []
      for (const { name } of names)
        rows.push([
          name,
          await database.query(`SELECT row_to_json(t) AS row FROM ${name} t ORDER BY row_to_json(t)::text`),
        ])
      return JSON.stringify({ catalog: await catalog(), rows }, null, 1)
    },
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  }
}

/** Registers the suite for each dialect. */
export function eachDialect(title: string, suite: (dialect: Dialect, scratch: () => Promise<Scratch>) => void): void {
  describe(`${title} (sqlite)`, () => suite('sqlite', async () => sqliteScratch()))
  describePostgres(`${title} (postgresql)`, () => suite('postgresql', postgresScratch))
}

/** A row in each of our tables. The same text for both dialects. */
export const ROWS = `
  INSERT INTO nodes VALUES ('gw-1', '["eth0"]', '["cjdns"]', DEFAULT_STARTED, 7, 1.5, 2.5), ('gw-2', '[]', '[]', DEFAULT_STARTED, 0, 1.5, 2.5);
  INSERT INTO policies VALUES ('edge', 'rules: []', 0, 1.5, 2.5);
  INSERT INTO path_cache VALUES ('a:b:3', 'a', 'b', 3, '{"source":"a","destination":"b","primary":[]}', 1.5, 4000000000.5);
`
export const rowsFor = (dialect: Dialect): string =>
  ROWS.replaceAll('DEFAULT_STARTED', dialect === 'sqlite' ? '1' : 'true')

export { TABLES }
