import type pg from 'pg'
import { translated, translatedWrite } from '../database/postgres/errors.ts'
import { located, openPool } from '../database/postgres/pool.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import type { Plain } from '../rows/cells.ts'
import { snapshotOf } from '../rows/postgres-source.ts'
import { TABLE_NAMES, type TableName } from '../rows/tables.ts'
import { type Target, type TargetOptions, taken } from './target.ts'

/**
 * Under the locks nobody else can write, and what the transaction reads is what will be committed. All bits of a time,
 * whatever the role's settings say; the source may be slow.
 */
const BEGIN = [
  'BEGIN ISOLATION LEVEL READ COMMITTED',
  'SET LOCAL idle_in_transaction_session_timeout = 0',
  'SET LOCAL extra_float_digits = 1',
]
const LOCK = `LOCK TABLE ${TABLE_NAMES.join(', ')} IN SHARE ROW EXCLUSIVE MODE`

/** `work` in a transaction of a database that has our schema. Throws CONFIG if rows are there, and StorageErrors. */
export async function intoPostgres<T>(
  target: PostgresTarget,
  { busyTimeoutMs }: TargetOptions,
  work: (target: Target) => Promise<T>,
): Promise<T> {
  const lockMs = Math.max(1, busyTimeoutMs)
  const pool = openPool(target, {
    max: 1,
    mode: target.poolMode,
    readOnly: false,
    durability: 'full',
    statementMs: target.statementMs,
    lockMs,
  })
  try {
    const client = await pool.connect().catch((error) => {
      throw translated(located(error, pool))
    })
    try {
      const result = await inTransaction(client, `SET LOCAL lock_timeout = ${lockMs}`, work)
      // Else the first queries are planned as if the tables were empty. A role that does not own them may not.
      await client.query(`ANALYZE ${TABLE_NAMES.join(', ')}`).catch(() => {})
      return result
    } finally {
      // With the connection a transaction that is still open is gone.
      client.release(true)
    }
  } finally {
    await pool.end()
  }
}

async function inTransaction<T>(
  client: pg.PoolClient,
  patience: string,
  work: (target: Target) => Promise<T>,
): Promise<T> {
  for (const statement of [...BEGIN, patience, LOCK]) await ask(client, statement)
  for (const table of TABLE_NAMES)
    if ((await ask(client, `SELECT 1 FROM ${table} LIMIT 1`)).length > 0) throw taken(table)
  const result = await work(targetOn(client))
  await client.query('COMMIT').catch((error) => {
    throw translatedWrite(located(error, client))
  })
  return result
}

async function ask(client: pg.PoolClient, text: string, values: unknown[] = []): Promise<unknown[]> {
  try {
    return (await client.query({ text, values })).rows
  } catch (error) {
    throw translated(located(error, client))
  }
}

/** A statement with fewer rows costs more for each; one with more takes memory. */
const ROWS = 2_000
const BYTES = 1_048_576

export const TYPES: Readonly<Record<TableName, readonly string[]>> = {
  nodes: ['text', 'jsonb', 'jsonb', 'boolean', 'integer', 'double precision', 'double precision'],
  policies: ['text', 'text', 'integer', 'double precision', 'double precision'],
  path_cache: ['text', 'text', 'text', 'integer', 'text', 'double precision', 'double precision'],
}

/** The driver would write -0 as 0. */
export const asParameter = (cell: Plain | undefined): unknown => (Object.is(cell, -0) ? '-0' : cell)

/** Many rows as one statement, and one statement under way while the next is put together. */
class Writer {
  readonly #client: pg.PoolClient
  #table: TableName = 'nodes'
  #rows: (readonly Plain[])[] = []
  #bytes = 0
  #underWay: Promise<unknown> = Promise.resolve()

  constructor(client: pg.PoolClient) {
    this.#client = client
  }

  async write(table: TableName, rows: readonly (readonly Plain[])[]): Promise<void> {
    if (table !== this.#table) await this.#send()
    this.#table = table
    for (const row of rows) {
      this.#rows.push(row)
      for (const cell of row) this.#bytes += typeof cell === 'string' ? cell.length : 8
      if (this.#rows.length >= ROWS || this.#bytes >= BYTES) await this.#send()
    }
  }

  async written(): Promise<void> {
    await this.#send()
    await this.#underWay
  }

  async #send(): Promise<void> {
    const rows = this.#rows
    if (rows.length === 0) return
    this.#rows = []
    this.#bytes = 0
    const types = TYPES[this.#table]
    const lists = types.map((type, index) => `$${index + 1}::${type}[]`)
    const text = `INSERT INTO ${this.#table} SELECT * FROM unnest(${lists.join(', ')})`
    const values = types.map((_, index) => rows.map((row) => asParameter(row[index])))
    await this.#underWay
    this.#underWay = ask(this.#client, text, values)
    // Whoever waits next is told.
    this.#underWay.catch(() => {})
  }
}

function targetOn(client: pg.PoolClient): Target {
  const writer = new Writer(client)
  return {
    snapshot: snapshotOf(client, ''),
    write: (table, rows) => writer.write(table, rows),
    written: () => writer.written(),
  }
}
