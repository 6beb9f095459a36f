/** Writes to the PostgreSQL database that a file is moved to. */

import type pg from 'pg'
import { isUnknown } from '../../database/postgres/errors.ts'
import { note, noteIn } from '../../database/postgres/notes.ts'
import { type Ask, askOn, connected, openSingle } from '../../database/postgres/single.ts'
import type { PostgresTarget } from '../../database/postgres/url.ts'
import { StorageError } from '../../errors.ts'
import { performance, sleep } from '../../event-loop.ts'
import { type DatabaseTables, isOwn, ownOf } from '../../rows/own-tables.ts'
import { columnsAsText, snapshotOf } from '../../rows/postgres-source.ts'
import { tablesOn } from '../../rows/postgres-tables.ts'
import { analyze, assertNoRows, insert } from '../../rows/postgres-target.ts'
import type { Snapshot } from '../../rows/source.ts'
import { keyCell, type Plain, plainCells } from '../../schema/cells.ts'
import { quotedName as quoted } from '../../schema/described.ts'
import { BOOKKEEPING, type Table } from '../../schema/tables.ts'
import { deleteChildless } from './parents.ts'
import { MOVE, type Progress } from './progress.ts'
import type { Changes, TableChange } from './source.ts'

/** Advisory lock of the mover's session. The two numbers are arbitrary, and the same for every mover. */
const LOCK = 'SELECT pg_try_advisory_lock(1298495336, 1836021349)'
const BEGIN = ['BEGIN ISOLATION LEVEL READ COMMITTED', 'SET LOCAL extra_float_digits = 1']
/** The bookkeeping that a move fills, beside some rows of `meshstore_state`. */
const FILLED = BOOKKEEPING.filter((name) => name !== 'meshstore_state')

export class MoveTarget implements AsyncDisposable {
  readonly #pool: pg.Pool
  readonly #client: pg.PoolClient
  readonly #ask: Ask
  #closed = false

  private constructor(pool: pg.Pool, client: pg.PoolClient) {
    this.#pool = pool
    this.#client = client
    this.#ask = askOn(client)
  }

  /** `alone`: takes the movers' lock. Throws BUSY if another process moves data into this database. */
  static async open(target: PostgresTarget, busyTimeoutMs: number, { alone = true } = {}): Promise<MoveTarget> {
    if (target.poolMode === 'transaction') {
      throw new StorageError(
        'CONFIG',
        'A move locks a session, which a pooler does not allow. Name the server itself, without pool_mode=transaction.',
      )
    }
    const pool = openSingle(target, { busyTimeoutMs })
    const client = await connected(pool)
    const opened = new MoveTarget(pool, client)
    try {
      if (alone) await opened.#lock(performance.now() + busyTimeoutMs)
      return opened
    } catch (error) {
      await opened.close()
      throw error
    }
  }

  /** Waits for the lock: a killed mover holds it until the server notices the end of its connection. */
  async #lock(deadline: number): Promise<void> {
    for (;;) {
      const [locked] = await this.#ask<[boolean]>(LOCK)
      if (locked?.[0] === true) return
      if (performance.now() > deadline)
        throw new StorageError(
          'BUSY',
          'Another process is moving data to that database. Nothing was changed. Wait for it, or use another database.',
        )
      await sleep(100)
    }
  }

  async progress(): Promise<Progress | undefined> {
    const found = await noteIn(this.#ask, MOVE)
    return found === undefined ? undefined : (JSON.parse(found) as Progress)
  }

  /** Begins in an empty database, or empties one that has rows of an earlier beginning of this move. */
  async begin(progress: Progress, tables: readonly Table[], at: Date): Promise<void> {
    await this.transaction(async (ask) => {
      const [row] = await ask<[string]>('SELECT value FROM meshstore_state WHERE name = $1 FOR UPDATE', [MOVE])
      if (row === undefined) await assertNoRows(ask, tables)
      else await empty(ask, tables)
      await note(ask, MOVE, JSON.stringify(progress), at)
      // Copied rows must not invalidate paths: the cutover carries over the file's invalidations.
      await note(ask, 'path_cache_invalidation', 'manual', at)
    })
  }

  /** Writes data and the next progress in one transaction. Throws CONFLICT if another mover has changed the progress. */
  async advance(from: Progress, to: Progress, work: (ask: Ask) => Promise<void>): Promise<void> {
    await this.transaction(async (ask) => {
      const set = 'UPDATE meshstore_state SET value = $3 WHERE name = $1 AND value = $2 RETURNING 1'
      const moved = await ask(set, [MOVE, JSON.stringify(from), JSON.stringify(to)])
      if (moved.length === 0)
        throw new StorageError(
          'CONFLICT',
          'Another process has gone on with this move. Nothing was changed here. Look with meshstore move --status.',
        )
      await work(ask)
    })
  }

  async transaction<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    try {
      for (const statement of BEGIN) await this.#ask(statement)
      const result = await work(this.#ask)
      await this.#ask('COMMIT').catch((error) => {
        throw isUnknown(error) ? unanswered(error) : error
      })
      return result
    } catch (error) {
      await this.#ask('ROLLBACK').catch(() => {})
      throw error
    }
  }

  /** Runs `work` on a consistent snapshot of the target. */
  async snapshot<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    try {
      await this.#ask('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY')
      await this.#ask('SET LOCAL extra_float_digits = 1')
      await this.#ask('SET LOCAL idle_in_transaction_session_timeout = 0')
      return await work(snapshotOf(this.#ask, '', { asStored: true }))
    } finally {
      await this.#ask('ROLLBACK').catch(() => {})
    }
  }

  tables(): Promise<DatabaseTables> {
    return tablesOn(this.#ask)
  }

  async analyze(tables: readonly Table[]): Promise<void> {
    await analyze(this.#ask, tables)
  }

  /** Closes the connection, which rolls back an open transaction. */
  async close(): Promise<void> {
    if (!this.#closed) this.#client.release(true)
    this.#closed = true
    await this.#pool.end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Deletes everything that a move writes. */
export async function empty(ask: Ask, tables: readonly Table[]): Promise<void> {
  for (const { name } of tables.toReversed()) await ask(`DELETE FROM ${quoted(name)}`)
  for (const name of FILLED) await ask(`DELETE FROM ${name}`)
  await ask("DELETE FROM meshstore_state WHERE name IN ('change_log', 'path_cache_invalidation', 'move')")
}

/**
 * Makes the rows what they are in the source. Deletes first, so that a row may take over what was unique to another one, and
 * deletes what is left afterwards: until then its children referred to it. Returns what is still referred to.
 */
export async function apply(ask: Ask, known: DatabaseTables, changes: Changes): Promise<ReadonlySet<string>> {
  if (ownOf(known.tables).length === 0) return applied(ask, known, changes, insertAll)
  let left: ReadonlySet<string> = new Set()
  const write = async (): Promise<void> => {
    left = await applied(ask, known, changes, insertAll)
  }
  if (await tried(ask, write)) return left
  // A unique value has passed from one row to another: all changed rows make room that no other row refers to.
  const changed = merged(known, changes)
  for (const { table, rows } of changed.toReversed())
    if (isOwn(table))
      await deleteChildless(
        ask,
        known,
        table,
        rows.map((row) => String(keyCell(table, row))),
      )
  return applied(ask, known, { changed, parents: [] }, insertInAnyOrder)
}

/** Parents are as of the same moment as what has changed. */
const merged = ({ tables }: DatabaseTables, { changed, parents }: Changes): TableChange[] =>
  tables.map((table) => ({
    table,
    rows: [...parents, ...changed].flatMap((each) => (each.table === table ? each.rows : [])),
    deleted: changed.flatMap((each) => (each.table === table ? each.deleted : [])),
  }))

type Insert = (ask: Ask, table: Table, rows: readonly (readonly Plain[])[]) => Promise<void>
const insertAll: Insert = (ask, table, rows) => insert(ask, table, rows, 'replace')

async function applied(
  ask: Ask,
  known: DatabaseTables,
  { changed, parents }: Changes,
  write: Insert,
): Promise<ReadonlySet<string>> {
  const referred = await deleteRows(ask, known, changed)
  for (const table of known.tables) {
    for (const { rows } of parents.filter((each) => each.table === table)) await insert(ask, table, rows, 'keep')
    for (const { rows } of changed.filter((each) => each.table === table))
      if (rows.length > 0) await write(ask, table, rows)
  }
  const left = await deleteRows(ask, known, referred)
  return new Set(left.flatMap(({ table, deleted }) => deleted.map((key) => nameOf(table, key))))
}

/** Children first. Returns the rows to which others still refer. */
async function deleteRows(
  ask: Ask,
  known: DatabaseTables,
  changes: readonly Pick<TableChange, 'table' | 'deleted'>[],
): Promise<Pick<TableChange, 'table' | 'deleted'>[]> {
  const left: Pick<TableChange, 'table' | 'deleted'>[] = []
  for (const { table, deleted } of changes.toReversed()) {
    const keys = await deleteChildless(ask, known, table, deleted)
    if (keys.length > 0) left.unshift({ table, deleted: keys })
  }
  return left
}

/**
 * A unique value may pass from one row to another of the same changes, or rows may exchange theirs. One statement deletes and
 * inserts them all: at its end the foreign keys hold again. If a foreign key would delete or change the children then, the
 * rows are written one by one, in an order that the constraints allow.
 */
const insertInAnyOrder: Insert = async (ask, table, rows) => {
  const acting = await ask(
    "SELECT 1 FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::regclass AND confdeltype <> 'a' LIMIT 1",
    [quoted(table.name)],
  )
  if (acting.length === 0) return insert(ask, table, rows, 'exchange')
  for (let left = rows; left.length > 0; ) {
    const still: (readonly Plain[])[] = []
    for (const row of left) if (!(await tried(ask, () => insertAll(ask, table, [row])))) still.push(row)
    if (still.length === left.length) return insertAll(ask, table, left.slice(0, 1))
    left = still
  }
}

/** Whether no constraint refused it. */
async function tried(ask: Ask, write: () => Promise<void>): Promise<boolean> {
  await ask('SAVEPOINT tried')
  try {
    await write()
    await ask('RELEASE tried')
    return true
  } catch (error) {
    if (!isRefused(error)) throw error
    await ask('ROLLBACK TO tried')
    return false
  }
}

/** Whether a constraint refused a write. */
export const isRefused = (error: unknown): boolean =>
  error instanceof StorageError && (error.code === 'ALREADY_EXISTS' || error.code === 'CONFLICT')

const nameOf = ({ name }: Table, key: unknown): string => JSON.stringify([name, key])

/** Reads the applied rows back. Throws CONFLICT if they differ from the sent ones. `left`: rows that are still referred to. */
export async function assertApplied(
  ask: Ask,
  changes: readonly TableChange[],
  left: ReadonlySet<string> = new Set(),
): Promise<void> {
  for (const { table, rows, deleted } of changes) {
    const gone = deleted.filter((key) => !left.has(nameOf(table, key)))
    const keys = [...rows.map((row) => keyCell(table, row)), ...gone]
    const select = `SELECT ${columnsAsText(table)} FROM ${quoted(table.name)} WHERE ${quoted(table.key.name)} = ANY($1::text[])`
    const found = (await ask(select, [keys])).map((cells) => comparable(plainCells(table, cells)))
    const sent = rows.map(comparable)
    if (JSON.stringify(found.sort()) === JSON.stringify(sent.sort())) continue
    throw new StorageError(
      'CONFLICT',
      `The rows that arrived in ${table.name} of the target are not those that were sent. Nothing was switched. Drop triggers that change rows there, and stop other writers.`,
    )
  }
}

/** SQLite keeps no sign of zero. */
const comparable = (row: readonly Plain[]): string =>
  JSON.stringify(row.map((cell) => (Object.is(cell, -0) ? 0 : cell)))

/** The record of the move in the target says how far it has come: nothing stays unknown. */
const unanswered = (error: unknown): StorageError =>
  new StorageError(
    'UNAVAILABLE',
    'The target did not answer a COMMIT: its changes may or may not be there. The move finds out when it goes on. Run it again.',
    { cause: error instanceof StorageError ? error.cause : error },
  )
