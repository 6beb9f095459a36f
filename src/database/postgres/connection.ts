import type pg from 'pg'
import { mapYielding, performance } from '../../event-loop.ts'
import { type StatementEvent, statementTracing, traceLong } from '../../tracing.ts'
import type { Executor, SavepointStep } from '../executor.ts'
import type { Inserted } from '../inserted-keys.ts'
import type { Call, Written } from '../session.ts'
import type { BoundStatement, Compiled, StatementCompiler } from '../statement.ts'
import { bindBulk, type Group, groups, resultsOf } from './bulk.ts'
import {
  asLockTimeout,
  asLost,
  endsTransaction,
  isConnectionLost,
  isDeadlock,
  isLockTimeout,
  isRefusal,
  isStaleStatement,
  isStatementTimeout,
  refusalOf,
  sqlstateOf,
  translated,
  unreplicated,
} from './errors.ts'
import { lookingAt } from './looks.ts'
import type { Token } from './outcomes.ts'
import { inStatement } from './own-statements.ts'
import { PatientPool } from './patient-pool.ts'
import { isUnreplicated, located, type PoolOptions } from './pool.ts'
import { StatementSavepoints } from './statement-savepoints.ts'
import { keyOf, tableOf, touchedByCalls } from './touched.ts'

/** Names of prepared statements. They contain a number, since the server cuts names at 63 bytes. */
export class StatementNames {
  readonly #names = new Map<Compiled<never, unknown>, string>()
  #count = 0
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  of(compiled: Compiled<never, unknown>): string {
    return this.#names.get(compiled) ?? this.renew(compiled)
  }

  /** Gives the statement a new name, so that it is prepared again: its table has changed. */
  renew(compiled: Compiled<never, unknown>): string {
    const name = `meshstore_${this.#prefix}${this.#count++}`
    this.#names.set(compiled, name)
    return name
  }
}

/** Gives connections, and is told when the server gives none. */
interface Source {
  readonly pool: pg.Pool
  readonly options: PoolOptions
  /** `undefined` behind a proxy that swaps sessions. */
  readonly names: StatementNames | undefined
  /** Names of statements that are planned with other settings: a prepared statement keeps its plan. */
  readonly namesByIndex: StatementNames | undefined
  /** Whether calls wait for a server that was lost. */
  readonly survivesLoss: boolean
  refuseWaiting(error: unknown): void
}

/**
 * Opens a connection; the caller holds a slot. `byIndex`: its statements are planned without table scans. `withinMs`: a shorter wait
 * for a primary. Throws StorageErrors.
 */
export async function openConnection(
  source: Source,
  { byIndex = false, withinMs }: { byIndex?: boolean; withinMs?: number | undefined } = {},
): Promise<PostgresConnection> {
  const { pool, options } = source
  try {
    const names = byIndex ? source.namesByIndex : source.names
    const client = await (pool instanceof PatientPool ? pool.within(withinMs) : pool.connect())
    return new PostgresConnection(client, names, options.statementMs)
  } catch (thrown) {
    const failure = located(thrown, pool)
    // In transaction mode the connection asks for no settings that a proxy could refuse: the server is lost.
    const error = translated(options.mode === 'transaction' ? asLost(failure) : failure)
    // A transaction that has little time left gives up for itself alone.
    const isOwnLimit = withinMs !== undefined && source.survivesLoss
    if (sqlstateOf(failure) === undefined && !isOwnLimit) source.refuseWaiting(error)
    throw error
  }
}

/** A client that is taken from the pool. Throws the driver's errors. */
export class PostgresConnection {
  readonly client: pg.PoolClient
  /** `undefined` behind a proxy that swaps sessions. */
  readonly #names: StatementNames | undefined
  #last: Promise<unknown> = Promise.resolve()
  #busy = false

  readonly #statementMs: number

  constructor(client: pg.PoolClient, names: StatementNames | undefined, statementMs: number) {
    this.client = client
    this.#statementMs = statementMs
    this.#names = names
  }

  run<R>(bound: BoundStatement<R>, token?: Token): Promise<Written<R>> {
    return this.#inTurn(() => this.#behind(token?.ahead(), () => this.#seen(bound)))
  }

  /** Runs a transaction's statement. If it fails, it is rolled back alone. */
  runGuarded<R>(
    bound: BoundStatement<R>,
    savepoints: StatementSavepoints,
    kind: 'read' | 'write',
  ): Promise<Written<R>> {
    return this.#inTurn(() => {
      const mark = kind === 'write' ? savepoints.token?.ahead() : undefined
      return this.#behind(mark, () => this.#seen(bound, () => this.#guarded(bound, savepoints, kind)))
    })
  }

  /** Sends the token in the packet of the work's first statement. */
  async #behind<T>(mark: BoundStatement<unknown> | undefined, work: () => Promise<T>): Promise<T> {
    if (mark === undefined) return work()
    const { stream } = this.client.connection
    stream.cork()
    const marking = this.#query(mark)
    const working = work()
    process.nextTick(() => stream.uncork())
    const [marked, worked] = await Promise.allSettled([marking, working])
    if (marked.status === 'rejected') throw marked.reason
    if (worked.status === 'rejected') throw worked.reason
    return worked.value
  }

  /** Traces the statement if the channel has subscribers. */
  #seen<R>(bound: BoundStatement<R>, query = (): Promise<Written<R>> => this.#query(bound)): Promise<Written<R>> {
    if (!statementTracing.hasSubscribers) return query()
    const event: StatementEvent = { name: bound.compiled.name }
    const run = async (): Promise<Written<R>> => {
      const written = await query()
      event.rows = written.changes
      return written
    }
    return traceLong(statementTracing, event, run, translated)
  }

  /** Runs work one after the other: a failed statement is rolled back before the next one is sent. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(async () => {
      this.#busy = true
      try {
        return await work()
      } finally {
        this.#busy = false
      }
    })
    this.#last = done.catch(() => {})
    return done
  }

  async #guarded<R>(
    bound: BoundStatement<R>,
    savepoints: StatementSavepoints,
    kind: 'read' | 'write',
  ): Promise<Written<R>> {
    const ahead = savepoints.ahead()
    const { stream } = this.client.connection
    // Send both in one packet.
    stream.cork()
    const setting = ahead === undefined ? undefined : this.#control(ahead)
    const querying = this.#query(bound)
    stream.uncork()
    const [set, written] = await Promise.allSettled([setting, querying])
    if (set.status === 'rejected') throw set.reason
    if (ahead !== undefined) savepoints.set()
    if (written.status === 'fulfilled') {
      if (kind === 'write') savepoints.wrote()
      return written.value
    }
    const error: unknown = written.reason
    if (!endsTransaction(error)) {
      await this.#control(savepoints.undoing())
      savepoints.undid(error)
    }
    throw error
  }

  async #query<R>({ compiled, values }: BoundStatement<R>): Promise<Written<R>> {
    const name = compiled.isOnce ? undefined : this.#names?.of(compiled)
    const begun = performance.now()
    const query = { text: compiled.sql, values, rowMode: 'array' as const }
    const { rows, rowCount } = await this.client
      .query<unknown[]>(name === undefined ? query : { ...query, name })
      .catch((error) => {
        if (isStaleStatement(error)) this.#names?.renew(compiled)
        const failure = inStatement(asLost(located(error, this.client)), compiled)
        throw performance.now() - begun < this.#statementMs ? asLockTimeout(failure) : failure
      })
    const { decode } = compiled
    return { rows: decode === undefined ? [] : await mapYielding(rows, decode), changes: rowCount ?? 0 }
  }

  /** Sends statements together, and if given a transaction's beginning and end. Rejects with the first error. */
  packet(
    begin: string | undefined,
    statements: readonly BoundStatement<unknown>[],
    end?: 'COMMIT',
  ): Promise<Written<unknown>[]> {
    return this.#inTurn(async () => {
      const { stream } = this.client.connection
      stream.cork()
      const sent = [
        ...(begin === undefined ? [] : [this.#control(begin)]),
        ...statements.map((bound) => this.#seen(bound)),
        ...(end === undefined ? [] : [this.#control(end)]),
      ]
      // The driver writes pipelined queries in a later microtask.
      process.nextTick(() => stream.uncork())
      const answers = await Promise.allSettled(sent)
      const written: Written<unknown>[] = []
      for (const answer of answers) {
        if (answer.status === 'rejected') throw answer.reason
        if (typeof answer.value !== 'string') written.push(answer.value)
      }
      return written
    })
  }

  /** Calls `done` before any other work of the connection. */
  control(sql: string, done = (): void => {}): Promise<string> {
    return this.#inTurn(async () => {
      const command = await this.#control(sql)
      done()
      return command
    })
  }

  async #control(sql: string): Promise<string> {
    const result: pg.QueryResult | pg.QueryResult[] = await this.client.query(sql).catch((error) => {
      throw asLost(located(error, this.client))
    })
    if (sql === 'COMMIT' && isUnreplicated(this.client)) throw unreplicated()
    return Array.isArray(result) ? (result.at(-1)?.command ?? '') : result.command
  }

  /** Gives the client back to the pool; ends a client whose connection is lost. */
  release(error?: unknown): void {
    this.client.release(error !== undefined && isConnectionLost(error))
  }

  end(): void {
    // Without this, the driver would wait for the running statement.
    if (this.#busy) this.client.connection.stream.destroy()
    this.client.release(true)
  }
}

/** Runs a transaction's statements. Throws StorageErrors. */
export class PostgresExecutor implements Executor {
  readonly #connection: PostgresConnection
  readonly #compiler: StatementCompiler
  readonly #savepoints: StatementSavepoints

  constructor(connection: PostgresConnection, compiler: StatementCompiler, token?: Token) {
    this.#connection = connection
    this.#compiler = compiler
    this.#savepoints = new StatementSavepoints(token)
  }

  async all<R>(bound: BoundStatement<R>): Promise<R[]> {
    return (await this.#guarded(bound, 'read')).rows
  }

  async first<R>(bound: BoundStatement<R>): Promise<R | undefined> {
    return (await this.#guarded(bound, 'read')).rows[0]
  }

  write<R>(bound: BoundStatement<R>): Promise<Written<R>> {
    return this.#guarded(bound, 'write')
  }

  async #guarded<R>(bound: BoundStatement<R>, kind: 'read' | 'write'): Promise<Written<R>> {
    try {
      return await this.#connection.runGuarded(bound, this.#savepoints, kind)
    } catch (failure) {
      throw this.#savepoints.translated(failure)
    }
  }

  /** Runs calls without savepoints of their own: they are rolled back together, to the savepoint around them. */
  async writeSlice<P, R>(calls: readonly Call<P, R>[]): Promise<Written<R>[]> {
    const written: Written<R>[] = []
    for (const group of groups(calls, this.#compiler)) {
      const from = written.length
      try {
        written.push(...(await this.#runGroup(group)))
      } catch (error) {
        throw await this.#refusalIn(group, calls.slice(from, from + group.bounds.length), error)
      }
    }
    return written
  }

  async #runGroup<R>({ bulk, bounds }: Group<R>): Promise<Written<R>[]> {
    if (bulk !== undefined && bounds.length > 1)
      return resultsOf(bulk, bounds, (await this.#run(bindBulk(bulk, bounds))).rows)
    const written: Written<R>[] = []
    for (const bound of bounds) written.push(await this.#run(bound))
    return written
  }

  /** Runs halves of a refused statement, and undoes them, until it is known which call was refused. */
  async #refusalIn<P, R>({ bulk, bounds }: Group<R>, calls: readonly Call<P, R>[], refused: unknown): Promise<unknown> {
    let [from, to] = [0, bounds.length]
    const refusalOf = async (first: number, end: number): Promise<unknown> => {
      await this.#connection.control(this.#savepoints.undoing())
      this.#savepoints.token?.undone()
      return this.#runGroup({ bulk, bounds: bounds.slice(first, end) }).then(
        () => undefined,
        (error) => error,
      )
    }
    // Another search for the slow row would take the time limit for each half.
    if (isStatementTimeout(refused)) return this.#named(refused, calls)
    while (to - from > 1 && isRefusal(refused)) {
      const middle = (from + to) >> 1
      if ((await refusalOf(from, middle)) === undefined) from = middle
      else to = middle
    }
    const call = calls[from]
    if (call === undefined || !isRefusal(refused)) return this.#named(refused, calls)
    const alone = bounds.length === 1 ? refused : await refusalOf(from, to)
    return alone === undefined ? refused : this.refusalOf(alone, call)
  }

  refusalOf<P, R>(error: unknown, { statement, parameters }: Call<P, R>): unknown {
    return this.#named(error, [{ statement, parameters }])
  }

  /** After a serialization failure any statement fails: it says nothing about the statement's rows. */
  #named<P, R>(error: unknown, calls: readonly Call<P, R>[]): unknown {
    const { rows } = touchedByCalls(this.#compiler, calls)
    const [first] = rows
    const concernsRows = isRefusal(error) || isLockTimeout(error) || isDeadlock(error)
    return first === undefined || !concernsRows ? error : refusalOf(error, tableOf(first), rows.map(keyOf))
  }

  async #run<R>(bound: BoundStatement<R>): Promise<Written<R>> {
    try {
      return await this.#connection.run(bound, this.#savepoints.token)
    } catch (error) {
      throw translated(error)
    }
  }

  async lookAt(inserted: Inserted): Promise<void> {
    for (const bound of lookingAt(inserted)) await this.#guarded(bound, 'read')
  }

  async control(sql: string, savepoint: string, step: SavepointStep): Promise<void> {
    try {
      await this.#connection.control(sql, () => this.#savepoints.follow(savepoint, step))
    } catch (error) {
      throw translated(error)
    }
  }

  /** After an error the server accepts only ROLLBACK, or ROLLBACK TO a savepoint. */
  endedBy(error: unknown): 'transaction' | 'savepoint' | 'nothing' {
    if (endsTransaction(error)) return 'transaction'
    return sqlstateOf(error) === undefined || this.#savepoints.hasUndone(error) ? 'nothing' : 'savepoint'
  }
}
