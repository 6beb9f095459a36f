/** Begins and ends transactions, and checks a server when a store opens. */
import { connect } from 'node:net'
import type pg from 'pg'
import { StorageError } from '../../errors.ts'
import type { Written } from '../session.ts'
import type { BoundStatement } from '../statement.ts'
import { type Batch, looksAt, noteFound } from './batch.ts'
import type { PostgresConnection } from './connection.ts'
import { isConnectionLost, mayRunAgain, translated, translatedWrite } from './errors.ts'
import { type Token, Unanswered } from './outcomes.ts'
import { beginning, located, type PoolOptions } from './pool.ts'

import { type Ask, askOn, connected } from './single.ts'
import { SET_GUARD } from './statement-savepoints.ts'
import type { PostgresTarget } from './url.ts'

import type { BatchOutcome } from './write-lane.ts'

/** Lock timeout in an explicit transaction: the server would detect a deadlock only after a second. */
const LOCK_TIMEOUT_MS = 50

export async function begin(
  connection: PostgresConnection,
  options: PoolOptions & { timeoutMs: number | undefined },
  lockTimeoutMs = LOCK_TIMEOUT_MS,
): Promise<void> {
  try {
    await connection.control(`${beginning({ ...options, lockTimeoutMs })}; ${SET_GUARD}`)
  } catch (error) {
    throw translated(error)
  }
}

export async function commit(connection: PostgresConnection, { readOnly }: { readOnly: boolean }): Promise<void> {
  let command: string
  try {
    command = await connection.control('COMMIT')
  } catch (error) {
    // A read-only transaction has no indeterminate commit.
    throw readOnly ? translated(error) : translatedWrite(error)
  }
  // The server answers the COMMIT of a failed transaction with ROLLBACK, and without an error.
  if (command !== 'COMMIT') {
    throw new StorageError(
      'CONFLICT',
      'A statement that was not awaited failed, and the transaction was rolled back. Await every call inside the callback.',
    )
  }
}

/** How a unit is committed. */
export interface Committing {
  readonly begin: string
  readonly token: Token | undefined
  /** Called before COMMIT is sent. */
  readonly onCommit: () => void
}

/** Sends COMMIT behind work that is done and decoded. Throws `Unanswered` if there is a token and no answer. */
async function commitWork<T>(
  connection: PostgresConnection,
  result: T,
  { token, onCommit }: Pick<Committing, 'token' | 'onCommit'>,
): Promise<T> {
  onCommit()
  try {
    await connection.control('COMMIT')
  } catch (error) {
    throw token !== undefined && isConnectionLost(error) ? new Unanswered(token, error, result) : error
  }
  return result
}

/** With a token, the results are known before COMMIT is sent. */
const marked = (
  token: Token | undefined,
  statements: readonly BoundStatement<unknown>[],
): BoundStatement<unknown>[] => {
  const mark = token?.ahead()
  return mark === undefined ? [...statements] : [mark, ...statements]
}

/** A write that names no row: in one packet, or with a token in two. Throws the driver's errors. */
export async function commitOne<R>(
  connection: PostgresConnection,
  bound: BoundStatement<R>,
  committing: Committing,
): Promise<Written<R>> {
  const { begin, token, onCommit } = committing
  if (token === undefined) onCommit()
  try {
    const written = await connection.packet(begin, marked(token, [bound]), token === undefined ? 'COMMIT' : undefined)
    const result = written.at(-1) as Written<R>
    return token === undefined ? result : await commitWork(connection, result, committing)
  } catch (error) {
    if (!(error instanceof Unanswered) && !isConnectionLost(error)) await connection.control('ROLLBACK').catch(() => {})
    throw error
  }
}

/**
 * Sends a batch in two packets: the statements, then COMMIT after all answers were decoded and complete. A refused batch stores
 * nothing. Throws the driver's errors: a lost connection, and conflicts.
 */
export async function commitBatch(
  connection: PostgresConnection,
  batch: Batch,
  committing: Committing,
): Promise<BatchOutcome> {
  const { begin, token, onCommit } = committing
  const commitsAtOnce = batch.commitsAtOnce && token === undefined
  try {
    if (commitsAtOnce) onCommit()
    const statements = marked(token, batch.statements)
    const written = await connection.packet(begin, statements, commitsAtOnce ? 'COMMIT' : undefined)
    const { results, unread } = batch.answers(token === undefined ? written : written.slice(1))
    if (commitsAtOnce) return { results, unread }
    const splitBehind = batch.tooLate(unread)
    if (splitBehind !== undefined) {
      await connection.control('ROLLBACK')
      return { refused: undefined, splitBehind }
    }
    if (unread.length > 0) {
      const lookups = unread.flatMap(({ lookup }) => lookup ?? [])
      const read = await connection.packet(undefined, [...lookups, ...looksAt(unread)])
      const lookedUp = unread.filter(({ lookup }) => lookup !== undefined)
      for (const [at, item] of lookedUp.entries())
        results.set(item, { rows: [], changes: 0, found: read[at]?.rows ?? [] })
      noteFound(results, unread, read.slice(lookups.length))
    }
    return await commitWork(connection, { results, unread: [] }, committing)
  } catch (error) {
    if (error instanceof Unanswered || isConnectionLost(error)) throw error
    await connection.control('ROLLBACK').catch(() => {})
    if (mayRunAgain(error)) throw error
    return { refused: translated(error) }
  }
}

/** Rolls back, or ends the connection. */
export async function settle(
  connection: PostgresConnection,
  failure: { readonly error: unknown } | undefined,
): Promise<void> {
  if (failure === undefined) {
    connection.release()
    return
  }
  // After a timeout a statement may still be running on the connection.
  const { error } = failure
  const unusable = error instanceof StorageError && (error.code === 'TIMEOUT' || isConnectionLost(error))
  if (unusable) {
    connection.end()
    return
  }
  try {
    await connection.control('ROLLBACK')
    connection.release()
  } catch {
    connection.end()
  }
}

export type OwnTransaction = 'READ COMMITTED' | 'REPEATABLE READ READ ONLY'

/** Runs a transaction of the library's own, with its own isolation level. Throws StorageErrors. */
export async function inOwnTransaction<T>(
  pool: pg.Pool,
  isolation: OwnTransaction,
  work: (ask: Ask) => Promise<T>,
): Promise<T> {
  const client = await connected(pool)
  const ask = askOn(client)
  try {
    await ask(`BEGIN ISOLATION LEVEL ${isolation}`)
    const result = await work(ask)
    await ask(isolation === 'READ COMMITTED' ? 'COMMIT' : 'ROLLBACK')
    client.release()
    return result
  } catch (error) {
    // Ending the connection rolls back the transaction.
    client.release(true)
    throw error
  }
}

export async function assertEncoding(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<[string]>({ text: 'SHOW server_encoding', rowMode: 'array' })
  const encoding = rows[0]?.[0]
  if (encoding !== 'UTF8')
    throw new StorageError(
      'CONFIG',
      `The database's encoding is ${encoding}, and UTF8 is needed. Nothing was written. Create a database with that encoding.`,
    )
}

/** Explains why a database could not be opened: the driver has no code for a server without TLS. */
export async function explained(error: unknown, target: PostgresTarget, pool: pg.Pool): Promise<unknown> {
  const failure = translated(located(error, pool))
  const mayBePlain = failure instanceof StorageError && failure.code === 'UNAVAILABLE' && target.ssl !== false
  if (!mayBePlain || (await answerToTls(target)) !== 'N') return failure
  const message =
    'The server does not speak TLS. Nothing was sent. Enable TLS there, or add sslmode=disable to the URL to connect in clear text.'
  return new StorageError('CONFIG', message)
}

/** The protocol's SSLRequest; the server answers `S` or `N` (https://www.postgresql.org/docs/current/protocol-flow.html). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])

function answerToTls({ host, port = 5432, connectMs }: PostgresTarget): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: connectMs }, () => socket.write(SSL_REQUEST))
    const end = (answer: string | undefined): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('data', (bytes) => end(bytes.toString('latin1', 0, 1)))
    socket.once('timeout', () => end(undefined))
    socket.once('error', () => end(undefined))
    socket.once('close', () => end(undefined))
  })
}
