/** The application that made the file: Python's sqlite3 if there is Python, and the bare driver doing the same. */
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { Program } from '../../sqlite/support/program.ts'
import { bound, type Row, type Stored, storedIn, TABLES, type TableName, told } from './cells.ts'
import { DDL } from './ddl.ts'

/** A connection that stays open until it is disposed of. */
export interface Client extends AsyncDisposable {
  execute(sql: string): Promise<void>
  query(sql: string): Promise<unknown[][]>
  /** By position, in a transaction. */
  insert(rows: readonly Row[]): Promise<void>
}

export interface ClientKind {
  readonly name: string
  readonly open: (path: string) => Client
}

export const bareDriver: ClientKind = { name: 'the bare driver', open: (path) => new BareDriver(path) }

const PROGRAM = fileURLToPath(new URL('../programs/client.py', import.meta.url))
const found = spawnSync('python3', ['-c', 'import sqlite3; print(sqlite3.sqlite_version)'], { encoding: 'utf8' })
export const python: ClientKind | undefined =
  found.status === 0 ? { name: "Python's sqlite3", open: (path) => new PythonClient(path) } : undefined
if (python === undefined) {
  console.warn(
    '!! NO PYTHON HERE: the files are made by the bare driver alone. Install python3 to test those of Python.',
  )
}

export const clients: readonly ClientKind[] = python === undefined ? [bareDriver] : [bareDriver, python]
/** The one that comes nearest to the application. */
export const client: ClientKind = python ?? bareDriver

class BareDriver implements Client {
  readonly #raw: Sqlite.Database

  constructor(path: string) {
    this.#raw = new Sqlite(path)
    // As in Python, where nobody asks for them.
    this.#raw.pragma('foreign_keys = OFF')
  }

  async execute(sql: string): Promise<void> {
    this.#raw.exec(sql)
  }

  async query(sql: string): Promise<unknown[][]> {
    return this.#raw.prepare<[], unknown[]>(sql).raw().all()
  }

  async insert(rows: readonly Row[]): Promise<void> {
    this.#raw.transaction(() => {
      for (const row of rows) insertInto(this.#raw, row)
    })()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#raw.close()
  }
}

function insertInto(raw: Sqlite.Database, { table, rowid, values }: Row): void {
  const cells = values.map(bound)
  if (rowid !== undefined) cells.unshift({ place: '?', value: rowid })
  const columns =
    rowid === undefined
      ? ''
      : `(rowid, ${(raw.pragma(`table_info(${table})`) as { name: string }[]).map(({ name }) => name).join()})`
  raw
    .prepare(`INSERT INTO ${table} ${columns} VALUES (${cells.map(({ place }) => place).join()})`)
    .run(cells.map(({ value }) => value))
}

class PythonClient implements Client {
  readonly #program: Program

  constructor(path: string) {
    this.#program = new Program('python3', [PROGRAM, path])
  }

  async execute(sql: string): Promise<void> {
    await this.#ask('execute', sql)
  }

  query(sql: string): Promise<unknown[][]> {
    return this.#ask('query', sql)
  }

  async insert(rows: readonly Row[]): Promise<void> {
    const orders = rows.map(({ table, rowid, values }) => ({
      table,
      rowid: rowid?.toString(),
      values: values.map(told),
    }))
    await this.#ask('insert', orders)
  }

  /** Puts the rows of a quarantine file back. */
  async restore(file: string): Promise<void> {
    await this.#ask('restore', file)
  }

  async #ask<T>(order: string, parameter: unknown): Promise<T> {
    const { done, failed } = await this.#program.ask<{ done: T; failed?: string }>({ do: order, with: parameter })
    if (failed !== undefined) throw new Error(failed)
    return done
  }

  /** A process that is killed would leave its log behind. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ask('close', null).catch(() => {})
    await this.#program[Symbol.asyncDispose]()
  }
}

/** With one more ability. */
export const openPython = (path: string): PythonClient => new PythonClient(path)

/** Makes a file and leaves it. */
export async function makeFile(
  path: string,
  rows: readonly Row[],
  { by = client, sql = DDL }: { by?: ClientKind; sql?: string } = {},
): Promise<string> {
  await using application = by.open(path)
  await application.execute(sql)
  await application.insert(rows)
  return path
}

/** The file as it is, in memory: a connection on the file itself would leave a log beside it. */
export function reading(path: string): Sqlite.Database {
  if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) throw new Error(`${path} has a log.`)
  const bytes = readFileSync(path)
  // Says that there is no log (https://sqlite.org/fileformat.html, 18 and 19).
  bytes.fill(1, 18, 20)
  return new Sqlite(bytes)
}

export type Content = Readonly<Record<TableName, Stored[]>>

/** The rows of the three tables, read while nobody has the file open. */
export function contentOf(path: string): Content {
  const raw = reading(path)
  try {
    const has = raw.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")
    const entries = TABLES.map((table) => [table, has.get(table) === undefined ? [] : storedIn(raw, table)])
    return Object.fromEntries(entries)
  } finally {
    raw.close()
  }
}
