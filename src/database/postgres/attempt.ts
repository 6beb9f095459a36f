/** One attempt at a transaction. Its callback starts at once, and its statements wait for BEGIN. */
import { performance } from '../../event-loop.ts'
import type { Inserted } from '../inserted-keys.ts'
import type { Call, TransactionGuard, Written } from '../session.ts'
import type { BoundStatement, StatementCompiler } from '../statement.ts'
import { type Executor, type Naming, OpenTransaction, type SavepointStep, withinTime } from '../transaction.ts'
import { type PostgresConnection, PostgresExecutor } from './connection.ts'
import type { Connections } from './connections.ts'
import { mayRunAgain } from './errors.ts'
import type { PoolOptions } from './pool.ts'
import { begin, commit, settle } from './session-control.ts'

export type Work<T> = (tx: OpenTransaction) => Promise<T>

/** The outcome of an attempt. Every other outcome is thrown. */
export type Attempted<T> = { readonly result: T } | { readonly inTheWay: unknown }

export interface Environment {
  readonly connections: Connections
  readonly compiler: StatementCompiler
  readonly guard: TransactionGuard
  readonly options: PoolOptions
}

export interface AttemptLimits {
  readonly readOnly: boolean
  /** Time limit of all attempts together, in milliseconds. `undefined`: no limit. */
  readonly timeoutMs: number | undefined
}

interface Turn {
  /** Resolves when the transaction may begin. */
  readonly mayBegin?: () => Promise<void>
  /** Milliseconds since the first attempt began. */
  readonly passedMs: () => number
  readonly naming?: Naming | undefined
}

class FromCallback {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

export async function attempt<T>(
  { connections, compiler, guard, options }: Environment,
  work: Work<T>,
  { readOnly, timeoutMs }: AttemptLimits,
  { mayBegin, passedMs, naming }: Turn,
): Promise<Attempted<T>> {
  const since = performance.now()
  let connection: PostgresConnection | undefined
  const opening = (async () => {
    await mayBegin?.()
    connection = await connections.open()
    await begin(connection, { ...options, readOnly, timeoutMs })
    return { connection, executor: new PostgresExecutor(connection, compiler) }
  })()
  const executor = new LateExecutor(opening)
  const tx = new OpenTransaction({ executor, compiler, guard, naming }, { readOnly })
  const running = tx.completing(work)
  running.catch(() => {})
  let failure: { readonly error: unknown } | undefined
  try {
    const open = await opening.catch((error) => {
      tx.end(error)
      throw error
    })
    const timeLeft = timeoutMs && Math.max(1, Math.round(timeoutMs - passedMs()))
    const result = await withinTime(tx, () => running, timeLeft, timeoutMs).catch((error) => {
      // After a conflict the transaction runs again, whatever the callback threw.
      throw mayRunAgain(tx.doom) ? tx.doom : new FromCallback(error)
    })
    if (tx.doom !== undefined) throw tx.doom
    await commit(open.connection, { readOnly })
    return { result }
  } catch (thrown) {
    const error = thrown instanceof FromCallback ? thrown.error : thrown
    failure = { error }
    connections.noteSilence(error, since)
    // An error of the callback itself is no conflict, also if it looks like one, for example of another database.
    if (!(thrown instanceof FromCallback) && mayRunAgain(error)) return { inTheWay: error }
    throw error
  } finally {
    if (connection !== undefined) await settle(connection, failure)
  }
}

/** Holds a transaction's statements until it has begun. */
class LateExecutor implements Executor {
  readonly readsBlock = false
  readonly #opening: Promise<{ readonly executor: Executor }>
  #open: Executor | undefined

  constructor(opening: Promise<{ readonly executor: Executor }>) {
    this.#opening = opening
    opening.then(
      ({ executor }) => {
        this.#open = executor
      },
      () => {},
    )
  }

  #then<T>(run: (open: Executor) => T | Promise<T>): Promise<T> {
    if (this.#open !== undefined) return Promise.resolve(run(this.#open))
    return this.#opening.then(({ executor }) => run(executor))
  }

  all = <R>(bound: BoundStatement<R>): Promise<R[]> => this.#then((open) => open.all(bound))
  first = <R>(bound: BoundStatement<R>): Promise<R | undefined> => this.#then((open) => open.first(bound))
  write = <R>(bound: BoundStatement<R>): Promise<Written<R>> => this.#then((open) => open.write(bound))
  writeSlice = <P, R>(calls: readonly Call<P, R>[]): Promise<Written<R>[]> =>
    this.#then((open) => open.writeSlice?.(calls) ?? [])
  lookAt = (inserted: Inserted): Promise<void> => this.#then((open) => open.lookAt?.(inserted))
  control = (sql: string, savepoint: string, step: SavepointStep): Promise<unknown> =>
    this.#then((open) => open.control(sql, savepoint, step))
  endedBy = (error: unknown): 'transaction' | 'savepoint' | 'nothing' => this.#open?.endedBy(error) ?? 'transaction'
}
