import { type Ask, onSingle, openSingle } from '../database/postgres/single.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import type { Plain } from '../schema/cells.ts'
import { quotedName as quoted } from '../schema/described.ts'
import { kindOf } from '../schema/kinds.ts'
import type { Table } from '../schema/tables.ts'
import { ownOf } from './own-tables.ts'
import { snapshotOf } from './postgres-source.ts'
import { tablesOn } from './postgres-tables.ts'
import { END_KEEPING, KEEP_PATHS, type Target, type TargetOptions, taken } from './target.ts'

/**
 * The locks refuse other writers, so that the transaction reads what it will commit. The settings override the role's: full
 * precision of times, and no timeout while the source is slow.
 */
const BEGIN = [
  'BEGIN ISOLATION LEVEL READ COMMITTED',
  'SET LOCAL idle_in_transaction_session_timeout = 0',
  'SET LOCAL extra_float_digits = 1',
]
const list = (tables: readonly Table[]): string => tables.map(({ name }) => quoted(name)).join(', ')

/** Runs `work` in a transaction of a database with our schema. Throws CONFIG if the tables have rows, and StorageErrors. */
export async function intoPostgres<T>(
  target: PostgresTarget,
  options: TargetOptions,
  work: (target: Target) => Promise<T>,
): Promise<T> {
  await using pool = openSingle(target, options)
  return await onSingle(pool, async (ask) => {
    const lockTimeout = `SET LOCAL lock_timeout = ${Math.max(1, options.busyTimeoutMs)}`
    for (const statement of [...BEGIN, lockTimeout]) await ask(statement)
    const { tables } = await tablesOn(ask)
    await ask(`LOCK TABLE ${list(tables)} IN SHARE ROW EXCLUSIVE MODE`)
    await assertNoRows(ask, tables)
    const isKeeping = ownOf(tables).length > 0 && (await ask(KEEP_PATHS)).length > 0
    const result = await work(targetOn(ask))
    if (isKeeping) await ask(END_KEEPING)
    await ask('COMMIT')
    await analyze(ask, tables)
    return result
  })
}

export async function assertNoRows(ask: Ask, tables: readonly Table[]): Promise<void> {
  for (const { name } of tables) if ((await ask(`SELECT 1 FROM ${quoted(name)} LIMIT 1`)).length > 0) throw taken(name)
}

/** Updates the planner's statistics: without them the tables count as empty. Ignores a role that may not ANALYZE. */
export const analyze = (ask: Ask, tables: readonly Table[]): Promise<unknown> =>
  ask(`ANALYZE ${list(tables)}`).catch(() => {})

/** How an insert treats a row whose key exists: it fails, replaces the row, leaves it, or deletes all of them first. */
export type Existing = 'fail' | 'replace' | 'keep' | 'exchange'

/** Inserts rows by one statement with a list for each column. */
export async function insert(
  ask: Ask,
  { name, key, columns }: Table,
  rows: readonly (readonly Plain[])[],
  existing: Existing = 'fail',
): Promise<void> {
  const names = columns.map((column) => quoted(column.name))
  // A row's lists are sent as texts.
  const lists = columns.map((column, index) => `$${index + 1}::${kindOf(column).postgres}[]`)
  const others = names.filter((each) => each !== quoted(key.name)).map((each) => `${each} = excluded.${each}`)
  const conflict = {
    fail: '',
    exchange: '',
    keep: ` ON CONFLICT (${quoted(key.name)}) DO NOTHING`,
    // A table of a key alone has nothing to replace.
    replace: ` ON CONFLICT (${quoted(key.name)}) DO ${others.length > 0 ? `UPDATE SET ${others.join(', ')}` : 'NOTHING'}`,
  }[existing]
  const keys = `$${columns.indexOf(key) + 1}::text[]`
  // The count makes the insert wait for all of the deletes.
  const [before, after] =
    existing === 'exchange'
      ? [
          `WITH gone AS (DELETE FROM ${quoted(name)} WHERE ${quoted(key.name)} = ANY(${keys}) RETURNING 1) `,
          ' WHERE (SELECT count(*) FROM gone) >= 0',
        ]
      : ['', conflict]
  await ask(
    `${before}INSERT INTO ${quoted(name)} (${names.join(', ')}) SELECT * FROM unnest(${lists.join(', ')})${after}`,
    columns.map((_, index) => rows.map((row) => asParameter(row[index]))),
  )
}

/** The driver would write -0 as 0. */
const asParameter = (cell: Plain | undefined): unknown => (Object.is(cell, -0) ? '-0' : cell)

/** A statement with fewer rows costs more for each; one with more takes memory. */
const ROWS = 2_000
const BYTES = 1_048_576

/** Batches rows into statements. One statement runs while the next is built. */
class Writer {
  readonly #ask: Ask
  #table: Table | undefined
  #rows: (readonly Plain[])[] = []
  #bytes = 0
  #underWay: Promise<unknown> = Promise.resolve()

  constructor(ask: Ask) {
    this.#ask = ask
  }

  async write(table: Table, rows: readonly (readonly Plain[])[]): Promise<void> {
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
    const [table, rows] = [this.#table, this.#rows]
    if (table === undefined || rows.length === 0) return
    this.#rows = []
    this.#bytes = 0
    await this.#underWay
    this.#underWay = insert(this.#ask, table, rows)
    // Mark the rejection as handled: the next `await` throws it.
    this.#underWay.catch(() => {})
  }
}

function targetOn(ask: Ask): Target {
  const writer = new Writer(ask)
  return {
    snapshot: snapshotOf(ask, ''),
    write: (table, rows) => writer.write(table, rows),
    written: () => writer.written(),
  }
}
