import Sqlite from 'better-sqlite3'
import { StorageError } from '../../errors.ts'
import { statementTracing, traceSync } from '../../tracing.ts'
import type { Written } from '../session.ts'
import type { Compiled, Statement, StatementCompiler } from '../statement.ts'
import { isBusy, translated } from './errors.ts'

export type Durability = 'full' | 'normal'

/**
 * How long the driver itself waits for a lock. It waits synchronously, so that the event loop stands still meanwhile:
 * everything longer is waited for by asynchronous repetition.
 */
const DRIVER_WAIT_MS = 5
/** Older ones can corrupt a WAL that several processes write (https://sqlite.org/wal.html#walresetbug). */
const OLDEST_SQLITE = [3, 51, 3] as const

interface Prepared {
  readonly compiled: Compiled
  readonly driver: Sqlite.Statement<unknown[]>
}

/** One handle on a database, with its prepared statements. */
export class SqliteConnection {
  readonly raw: Sqlite.Database
  readonly #compiler: StatementCompiler
  readonly #prepared = new Map<unknown, Prepared>()

  constructor(raw: Sqlite.Database, compiler: StatementCompiler) {
    this.raw = raw
    this.#compiler = compiler
  }

  all<P, R>(statement: Statement<P, R>, parameters: P): R[] {
    return this.#run(statement, parameters, ({ compiled, driver }, bound) => {
      const rows = driver.all(bound) as unknown[][]
      return { rows: decodeAll<R>(compiled, rows), changes: rows.length }
    }).rows
  }

  first<P, R>(statement: Statement<P, R>, parameters: P): R | undefined {
    // The hot path of reads by key: without a closure unless somebody listens.
    if (statementTracing.hasSubscribers) return this.all(statement, parameters)[0]
    try {
      const { compiled, driver } = this.#prepare(statement)
      const row = driver.get(compiled.bind(parameters)) as unknown[] | undefined
      return row === undefined ? undefined : (compiled.decode?.(row) as R)
    } catch (error) {
      throw translated(error)
    }
  }

  write<P, R>(statement: Statement<P, R>, parameters: P): Written<R> {
    return this.#run(statement, parameters, ({ compiled, driver }, bound) => {
      if (compiled.decode === undefined) return { rows: [], changes: driver.run(bound).changes }
      const rows = decodeAll<R>(compiled, driver.all(bound) as unknown[][])
      return { rows, changes: rows.length }
    })
  }

  #run<P, R>(
    statement: Statement<P, R>,
    parameters: P,
    execute: (prepared: Prepared, bound: unknown[]) => Written<R>,
  ): Written<R> {
    const run = (): Written<R> => {
      try {
        const prepared = this.#prepare(statement)
        return execute(prepared, prepared.compiled.bind(parameters))
      } catch (error) {
        throw translated(error)
      }
    }
    if (!statementTracing.hasSubscribers) return run()
    return traceSync(statementTracing, { name: statement.name }, (event) => {
      const written = run()
      event.rows = written.changes
      return written
    })
  }

  #prepare<P, R>(statement: Statement<P, R>): Prepared {
    const known = this.#prepared.get(statement)
    if (known !== undefined) return known
    const compiled = this.#compiler.compile(statement) as Compiled
    const driver = this.raw.prepare<unknown[]>(compiled.sql)
    const prepared = { compiled, driver: compiled.decode === undefined ? driver : driver.raw() }
    this.#prepared.set(statement, prepared)
    return prepared
  }

  close(): void {
    this.#prepared.clear()
    this.raw.close()
  }
}

const decodeAll = <R>(compiled: Compiled, rows: unknown[][]): R[] =>
  // A statement's rows have the type that its query was built with.
  rows.map((row) => compiled.decode?.(row) as R)

/** A handle on a file (or `:memory:`) with the settings that every connection gets. Throws StorageErrors. */
export function openConnection(path: string, options: { readOnly: boolean }): Sqlite.Database {
  let raw: Sqlite.Database | undefined
  try {
    raw = new Sqlite(path, { readonly: options.readOnly, fileMustExist: path !== ':memory:', timeout: DRIVER_WAIT_MS })
    assertVersion(raw)
    // Another program's schema must not be able to call functions with side effects (https://sqlite.org/security.html).
    raw.pragma('trusted_schema = OFF')
    // Finds a damaged page when it is read, before what it says is believed.
    raw.pragma('cell_size_check = ON')
    // With memory-mapped I/O a stray write of this process would go straight into the file.
    raw.pragma('mmap_size = 0')
    return raw
  } catch (error) {
    raw?.close()
    throw translated(error)
  }
}

/** The settings of the connection that writes. `full` or `normal` is set and read back at every open. */
export async function prepareWriter(raw: Sqlite.Database, durability: Durability, patience: Patience): Promise<void> {
  // Readers go on while somebody writes, and a commit is one sync. In memory there is no log to keep.
  if (!raw.memory) {
    const mode = await patience.retry(() => raw.pragma('journal_mode = WAL', { simple: true }))
    if (mode !== 'wal') throw new StorageError('CONFIG', `The file system does not allow a write-ahead log (${mode}).`)
  }
  // The driver is compiled so that a WAL file opens with NORMAL, which loses acknowledged commits in a power cut.
  const synchronous = durability === 'full' ? 2 : 1
  raw.pragma(`synchronous = ${synchronous}`)
  if (raw.pragma('synchronous', { simple: true }) !== synchronous) {
    throw new StorageError('CONFIG', `SQLite did not accept durability '${durability}'.`)
  }
  raw.pragma('foreign_keys = ON')
}

function assertVersion(raw: Sqlite.Database): void {
  const version = String(raw.prepare('SELECT sqlite_version()').pluck().get())
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  const [oldestMajor, oldestMinor, oldestPatch] = OLDEST_SQLITE
  const at = (a: number, b: number, c: number): number => a * 1_000_000 + b * 1_000 + c
  if (at(major, minor, patch) < at(oldestMajor, oldestMinor, oldestPatch)) {
    throw new StorageError(
      'CONFIG',
      `SQLite ${version} can damage a write-ahead log; ${OLDEST_SQLITE.join('.')} is needed.`,
    )
  }
}

/** Waits for other processes' locks without blocking the event loop. */
export class Patience {
  readonly #busyTimeoutMs: number

  constructor(busyTimeoutMs: number) {
    this.#busyTimeoutMs = busyTimeoutMs
  }

  /** Runs `attempt` until it does not fail with BUSY any more, or the time is up. Throws StorageErrors. */
  async retry<T>(attempt: () => T): Promise<T> {
    const deadline = performance.now() + this.#busyTimeoutMs
    for (let pause = 1; ; pause = nextPause(pause)) {
      try {
        return attempt()
      } catch (error) {
        if (!isBusy(error) || performance.now() >= deadline) throw translated(error)
      }
      await new Promise((resolve) => setTimeout(resolve, jittered(pause)))
    }
  }
}

const LONGEST_PAUSE_MS = 25
/** Milliseconds: 1, 2, 4, … up to 25. */
export const nextPause = (pause: number): number => Math.min(pause * 2, LONGEST_PAUSE_MS)
/** Two processes that collided should not collide again. */
export const jittered = (pause: number): number => pause * (0.5 + Math.random())
