/** Writes to the PostgreSQL database that a file is moved to. */

import type pg from 'pg'
import { type Ask, askOn, connected, openSingle } from '../../database/postgres/single.ts'
import type { PostgresTarget } from '../../database/postgres/url.ts'
import { StorageError } from '../../errors.ts'
import { performance, sleep } from '../../event-loop.ts'
import { columnsAsText, snapshotOf } from '../../rows/postgres-source.ts'
import { analyze, assertNoRows, insert } from '../../rows/postgres-target.ts'
import type { Snapshot } from '../../rows/source.ts'
import { type Plain, plainCells } from '../../schema/cells.ts'
import { OUR_TABLES } from '../../schema/tables.ts'
import { MOVE, type Progress } from './progress.ts'
import type { TableChange } from './source.ts'

/** Advisory lock of the mover's session. The two numbers are arbitrary, and the same for every mover. */
const LOCK = 'SELECT pg_try_advisory_lock(1298495336, 1836021349)'
const BEGIN = ['BEGIN ISOLATION LEVEL READ COMMITTED', 'SET LOCAL extra_float_digits = 1']
/** The tables that a move fills, beside some rows of `meshstore_state`. */
const FILLED = OUR_TABLES.filter((name) => name !== 'meshstore_state')

export class MoveTarget {
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
    const [row] = await this.#ask<[string]>('SELECT value FROM meshstore_state WHERE name = $1', [MOVE])
    return row && (JSON.parse(row[0]) as Progress)
  }

  /** Begins in an empty database, or empties one that has rows of an earlier beginning of this move. */
  async begin(progress: Progress): Promise<void> {
    await this.transaction(async (ask) => {
      const [row] = await ask<[string]>('SELECT value FROM meshstore_state WHERE name = $1 FOR UPDATE', [MOVE])
      if (row === undefined) await assertNoRows(ask)
      else await empty(ask)
      await remember(ask, MOVE, JSON.stringify(progress))
      // Copied rows must not invalidate paths: the cutover carries over the file's invalidations.
      await remember(ask, 'path_cache_invalidation', 'manual')
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
      await this.#ask('COMMIT')
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

  async analyze(): Promise<void> {
    await analyze(this.#ask)
  }

  /** Closes the connection, which rolls back an open transaction. */
  async close(): Promise<void> {
    if (!this.#closed) this.#client.release(true)
    this.#closed = true
    await this.#pool.end()
  }
}

/** Deletes everything that a move writes. */
export async function empty(ask: Ask): Promise<void> {
  for (const table of FILLED) await ask(`DELETE FROM ${table}`)
  await ask("DELETE FROM meshstore_state WHERE name IN ('change_log', 'path_cache_invalidation', 'move')")
}

export const remember = (ask: Ask, name: string, value: string): Promise<unknown> =>
  ask(
    `INSERT INTO meshstore_state (name, value, updated_at) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at`,
    [name, value, Date.now() / 1_000],
  )

/** Applies changes: the rows are then as in the source. */
export async function apply(ask: Ask, changes: readonly TableChange[]): Promise<void> {
  for (const { table, rows, deleted } of changes) {
    if (deleted.length > 0) await ask(`DELETE FROM ${table.name} WHERE ${table.key.name} = ANY($1::text[])`, [deleted])
    if (rows.length > 0) await insert(ask, table, rows, { replace: true })
  }
}

/** Reads the applied rows back. Throws CONFLICT if they differ from the sent ones. */
export async function assertApplied(ask: Ask, changes: readonly TableChange[]): Promise<void> {
  for (const { table, rows, deleted } of changes) {
    const keys = [...rows.map(([key]) => key), ...deleted]
    const select = `SELECT ${columnsAsText(table)} FROM ${table.name} WHERE ${table.key.name} = ANY($1::text[])`
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
