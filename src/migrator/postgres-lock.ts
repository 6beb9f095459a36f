/** Runs a migration while no other process migrates, and without making the application's calls wait for long. */
import type pg from 'pg'
import { jittered } from '../database/backoff.ts'
import { sqlstateOf } from '../database/postgres/errors.ts'
import { hasSession } from '../database/postgres/pool.ts'
import { StorageError } from '../errors.ts'
import { performance, sleep } from '../event-loop.ts'

/** Any two numbers, the same for every process that migrates. */
const KEY = '1298495336, 1937010546'

/** How long a statement of a migration waits for a lock, in milliseconds: the calls behind it wait as long. */
const LOCK_TIMEOUT_MS = 100
/** Longest pause between two attempts, in milliseconds. */
const LONGEST_PAUSE_MS = 500
/** If the session has no `lock_timeout`. */
const DEFAULT_WAIT_MS = 600_000
/** The lock of a process that is lost with its machine is free after this time. */
const IDLE_SESSION_MS = 60_000

/** Lock timeout, deadlock, serialization failure: another attempt may succeed. */
const AGAIN: ReadonlySet<string> = new Set(['55P03', '40P01', '40001'])

interface Work<T> {
  /** Runs outside of any transaction, with the lock: builds indexes. Not run behind a proxy that pools transactions. */
  readonly before?: ((client: pg.PoolClient) => Promise<void>) | undefined
  /** Runs in a transaction. If it has to wait for a lock, it is rolled back and run again. */
  readonly work: (client: pg.PoolClient) => Promise<T>
}

/** Throws BUSY if the lock of other processes, or of the tables, is not free within the session's `lock_timeout`. */
export async function locked<T>(pool: pg.Pool, { before, work }: Work<T>): Promise<T> {
  const client = await pool.connect()
  try {
    const deadline = performance.now() + (await waitOf(client))
    const result = hasSession(pool)
      ? await inSession(client, deadline, { before, work })
      : await attempts(client, deadline, async () => {
          if (!(await isGranted(client, 'pg_try_advisory_xact_lock'))) throw new Taken()
          return work(client)
        })
    client.release()
    return result
  } catch (error) {
    // Ending the connection rolls back, and gives the lock back.
    client.release(true)
    throw error instanceof Taken ? takenError() : error
  }
}

/** Another process migrates. */
class Taken extends Error {}

const takenError = (): StorageError =>
  new StorageError(
    'BUSY',
    'Another process migrates the database. Nothing was changed. Wait for it to end, then migrate again, or wait longer (--wait, busyTimeoutMs).',
  )

async function waitOf(client: pg.PoolClient): Promise<number> {
  const { rows } = await client.query<{ setting: string }>(
    "SELECT setting FROM pg_settings WHERE name = 'lock_timeout'",
  )
  return Number(rows[0]?.setting) || DEFAULT_WAIT_MS
}

/**
 * Polls: a waiting statement would have a snapshot, and CREATE INDEX CONCURRENTLY waits for every older snapshot. Both would wait for
 * each other.
 */
async function inSession<T>(client: pg.PoolClient, deadline: number, { before, work }: Work<T>): Promise<T> {
  for (let pause = 10; !(await isGranted(client, 'pg_try_advisory_lock')); pause = longer(pause)) {
    if (performance.now() >= deadline) throw new Taken()
    await sleep(jittered(pause))
  }
  await client.query(`SET idle_session_timeout = ${IDLE_SESSION_MS}`)
  await before?.(client)
  const result = await attempts(client, deadline, async () => {
    // Held by this session already: the transaction shows that it still is.
    await client.query(`SELECT pg_advisory_xact_lock(${KEY})`)
    return work(client)
  })
  await client.query(`SELECT pg_advisory_unlock(${KEY})`)
  await client.query('RESET idle_session_timeout')
  return result
}

async function isGranted(client: pg.PoolClient, how: string): Promise<boolean> {
  const { rows } = await client.query<{ granted: boolean }>(`SELECT ${how}(${KEY}) AS granted`)
  return rows[0]?.granted === true
}

const longer = (pause: number): number => Math.min(pause * 2, LONGEST_PAUSE_MS)

/** Runs `work` in a transaction until it need not wait for a lock. */
async function attempts<T>(client: pg.PoolClient, deadline: number, work: () => Promise<T>): Promise<T> {
  for (let pause = 10; ; pause = longer(pause)) {
    try {
      // READ COMMITTED: an older snapshot, from before the lock, would hide what another process applied meanwhile.
      await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
      await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
      const result = await work()
      await client.query('COMMIT')
      return result
    } catch (error) {
      const isInTheWay = error instanceof Taken || AGAIN.has(sqlstateOf(error) ?? '')
      if (!isInTheWay || performance.now() >= deadline) throw error
      await client.query('ROLLBACK')
    }
    await sleep(jittered(pause))
  }
}
