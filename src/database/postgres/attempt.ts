/** One attempt at a transaction. Its callback starts at once, and its statements wait for BEGIN. */
import { performance } from '../../event-loop.ts'
import type { Executor, Naming, SavepointStep } from '../executor.ts'
import type { Inserted } from '../inserted-keys.ts'
import type { Call, TransactionGuard, Written } from '../session.ts'
import type { BoundStatement, StatementCompiler } from '../statement.ts'
import { OpenTransaction } from '../transaction.ts'
import { withinTime } from '../transaction-time.ts'
import { openConnection, type PostgresConnection, PostgresExecutor } from './connection.ts'
import type { Connections } from './connections.ts'
import { isServerLost, isUnknown, mayRunAgain, undone } from './errors.ts'
import type { Failover } from './failover.ts'
import type { KeyedQueue } from './keyed-queue.ts'
import type { Outcomes } from './outcomes.ts'
import type { PoolOptions } from './pool.ts'
import { begin, commit, settle } from './session-control.ts'

export type Work<T> = (tx: OpenTransaction) => Promise<T>

/** The outcome of an attempt. Every other outcome is thrown. */
export type Attempted<T> =
  | { readonly result: T }
  /** `isLost`: the server was lost, and nothing was committed. */
  | { readonly inTheWay: unknown; readonly isLost: boolean }

export interface Environment {
  readonly connections: Connections
  /** The order of calls. */
  readonly queue: KeyedQueue
  /** `undefined`: a lost answer to a COMMIT is OUTCOME_UNKNOWN. */
  readonly outcomes: Outcomes | undefined
  readonly compiler: StatementCompiler
  readonly guard: TransactionGuard
  readonly options: PoolOptions
}

export interface AttemptLimits {
  readonly readOnly: boolean
  /** Time limit of all attempts together, in milliseconds. `undefined`: no limit. */
  readonly timeoutMs: number | undefined
  /** How long a statement waits for a lock. */
  readonly lockMs?: number | undefined
}

interface Turn {
  /** The work is one call of the library's own. */
  readonly isUnit: boolean
  /** Resolves when the transaction may begin. */
  readonly mayBegin?: (() => Promise<void>) | undefined
  /** Called when the attempt has a connection. */
  readonly opened: () => void
  /** Milliseconds since the first attempt had a connection. */
  readonly passedMs: () => number
  readonly naming?: Naming | undefined
}

/** Whether to run the transaction again. After the loss of the server it waits for `failoverMs`, within its own time limit. */
export function mayRunOn(
  { isLost }: { readonly isLost: boolean },
  { timeoutMs = Number.POSITIVE_INFINITY, retryMs }: { timeoutMs: number | undefined; retryMs: number },
  { passedMs, failover }: { readonly passedMs: number; readonly failover: Failover },
): boolean {
  return isLost ? passedMs < timeoutMs && failover.goesOn() : passedMs < retryMs
}

class FromCallback {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

export async function attempt<T>(
  { connections, outcomes, compiler, guard, options }: Environment,
  work: Work<T>,
  { readOnly, timeoutMs, lockMs }: AttemptLimits,
  { isUnit, mayBegin, opened, passedMs, naming }: Turn,
): Promise<Attempted<T>> {
  let since = performance.now()
  const token = readOnly ? undefined : outcomes?.token()
  const survivesLoss = (options.failoverMs ?? 0) > 0
  const endsHere = (error: unknown): boolean => mayRunAgain(error) || (survivesLoss && isServerLost(error))
  let hasOpened = false
  let connection: PostgresConnection | undefined
  const opening = (async () => {
    await mayBegin?.()
    const passed = passedMs()
    connection = await openConnection(connections, {
      withinMs: passed > 0 && timeoutMs !== undefined ? timeoutMs - passed : undefined,
    })
    hasOpened = true
    since = performance.now()
    opened()
    await begin(connection, { ...options, readOnly, timeoutMs }, lockMs)
    return { connection, executor: new PostgresExecutor(connection, compiler, token) }
  })()
  const executor = new LateExecutor(opening)
  const tx = new OpenTransaction({ executor, compiler, guard, naming }, { readOnly, isUnit })
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
      throw endsHere(tx.doom) ? tx.doom : new FromCallback(error)
    })
    if (tx.doom !== undefined) throw tx.doom
    await commit(open.connection, { readOnly }).catch(async (error) => {
      if (token === undefined || outcomes === undefined || !isUnknown(error)) throw error
      // A claim may need the pool's only connection.
      open.connection.end()
      connection = undefined
      if (!(await outcomes.wasCommitted(token, error))) throw undone(error)
    })
    return { result }
  } catch (thrown) {
    const error = thrown instanceof FromCallback ? thrown.error : thrown
    failure = { error }
    connections.noteSilence(error, since)
    // An error of the callback itself is no conflict, also if it looks like one, for example of another database.
    // A wait for a connection has used up `failoverMs`.
    if (!(thrown instanceof FromCallback) && hasOpened && endsHere(error))
      return { inTheWay: error, isLost: !mayRunAgain(error) }
    throw error
  } finally {
    if (connection !== undefined) await settle(connection, failure)
  }
}

/** Holds a transaction's statements until it has begun. */
class LateExecutor implements Executor {
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
  refusalOf = <P, R>(error: unknown, call: Call<P, R>): unknown => this.#open?.refusalOf?.(error, call) ?? error
}
