import type Sqlite from 'better-sqlite3'
import { statementTracing, traceSync } from '../../tracing.ts'
import type { Executor } from '../executor.ts'
import type { Part, Written } from '../session.ts'
import type { BoundStatement, Compiled } from '../statement.ts'
import { translated, translatedCommit } from './errors.ts'
import { explained } from './explained.ts'
import { ManyRows } from './many-rows.ts'
import { withRefusedRow } from './refused-row.ts'

/** Texts that one call may read and decode: about 2 ms of JSON. */
const PART_BYTES = 262_144

/**
 * RAISE(FAIL), OR FAIL in a trigger's statement, or ON CONFLICT FAIL of a table, into which a trigger may write
 * (https://sqlite.org/lang_conflict.html).
 */
const FAILING = `SELECT 1 FROM sqlite_schema
  WHERE type = 'trigger' AND sql LIKE '%FAIL%' OR type = 'table' AND sql LIKE '%CONFLICT%FAIL%' LIMIT 1`

const NONE: readonly Written<never>[] = []
const NOT_ALL = new Error('The statement has not written all of its rows.')

interface SavepointStatements {
  readonly begin: Sqlite.Statement
  readonly release: Sqlite.Statement
  readonly undo: Sqlite.Statement
}

/** One handle on a database, with its prepared statements. */
export class SqliteConnection implements Executor {
  readonly raw: Sqlite.Database
  readonly #manyRows: ManyRows
  #prepared = new WeakMap<object, Sqlite.Statement<unknown[]>>()
  /** Statements that are transactions of their own, for the schema that was seen. `undefined`: it cannot be one. */
  #guarded = new WeakMap<object, { readonly driver: Sqlite.Statement<unknown[]> | undefined }>()
  #savepoint: SavepointStatements | undefined
  #schemaVersion: Sqlite.Statement<[], number> | undefined
  #schemaSeen: number | undefined
  /** Another program's trigger or table may fail in the way that keeps the rows which the statement already wrote. */
  #mayFailHalfway = false

  constructor(raw: Sqlite.Database) {
    this.raw = raw
    this.#manyRows = new ManyRows(raw)
  }

  all<R>({ compiled, values }: BoundStatement<R>): R[] {
    return this.#traced(compiled, () => {
      const rows = decodeAll(compiled, this.#prepare(compiled).all(values))
      return { rows, changes: rows.length }
    }).rows
  }

  /** The first rows, up to `PART_BYTES`. No statement stays open. */
  readonly part = <R>({ compiled, values }: BoundStatement<R>): Part<R> => {
    let isCut = false
    const { rows } = this.#traced(compiled, () => {
      const found: unknown[] = []
      let size = 0
      for (const row of this.#prepare(compiled).iterate(values) as Iterable<unknown[]>) {
        found.push(row)
        size += sizeOf(row)
        // Not at the row behind: it would have been read for nothing, and may be large.
        isCut = size >= PART_BYTES
        if (isCut) break
      }
      return { rows: decodeAll(compiled, found), changes: found.length }
    })
    return { rows, isCut }
  }

  first<R>(bound: BoundStatement<R>): R | undefined {
    // Hot path of reads by key: no closure without a tracing subscriber.
    if (!statementTracing.hasSubscribers) return this.#first(bound)
    return traceSync(statementTracing, { name: bound.compiled.name }, (event) => {
      const row = this.#first(bound)
      event.rows = row === undefined ? 0 : 1
      return row
    })
  }

  #first<R>({ compiled, values }: BoundStatement<R>): R | undefined {
    try {
      const row = this.#prepare(compiled).get(values)
      return row === undefined ? undefined : compiled.decode?.(row as unknown[])
    } catch (error) {
      throw translated(error, this.raw.name)
    }
  }

  /** Whether the schema has changed since the last call. Call it while you hold the lock, which keeps the schema as it is. */
  isSchemaChanged(): boolean {
    this.#schemaVersion ??= this.raw.prepare<[], number>('PRAGMA schema_version').pluck()
    const version = this.#schemaVersion.get()
    if (version === this.#schemaSeen) return false
    this.#schemaSeen = version
    this.#guarded = new WeakMap()
    this.#mayFailHalfway = this.raw.prepare(FAILING).get() !== undefined
    return true
  }

  /**
   * Must run inside a transaction. A write that throws has changed nothing. `isAlone`: the transaction holds nothing else, and the
   * caller rolls it back if the write throws.
   */
  write<R>(bound: BoundStatement<R>, isAlone = false): Written<R> {
    const { compiled, values } = bound
    return this.#traced(compiled, () => {
      const driver = this.#prepare(compiled)
      const run = (): Written<R> => {
        if (compiled.decode === undefined) return { rows: [], changes: driver.run(values).changes }
        const rows = decodeAll(compiled, driver.all(values))
        return { rows, changes: rows.length }
      }
      // The savepoint undoes the write if a returned row cannot be decoded.
      const needsSavepoint = compiled.decode !== undefined || this.#mayFailHalfway
      try {
        return needsSavepoint && !isAlone ? this.savepoint(run) : run()
      } catch (error) {
        throw withRefusedRow(error, bound, this.raw)
      }
    })
  }

  /**
   * Runs a statement that changes many rows as a transaction of its own: inside another one, SQLite keeps a journal of every page
   * that the statement changes, to undo it alone. `undefined`: nothing has changed, and the write must run inside a transaction.
   */
  writeByItself<R>(bound: BoundStatement<R>): Written<R> | undefined {
    const { compiled, values } = bound
    const driver = this.#guard(compiled)
    if (driver === undefined) return undefined
    const written = this.#traced(compiled, () => {
      try {
        return { rows: [], changes: driver.run(values).changes }
      } catch (error) {
        throw translatedCommit(withRefusedRow(error, bound, this.raw), this.raw.name)
      }
    })
    return written.changes > 0 || this.#schemaVersion?.get() === this.#schemaSeen ? written : undefined
  }

  /** Nothing holds the lock before the statement begins: it changes no row if the schema has changed since. */
  #guard<R>(compiled: Compiled<never, R>): Sqlite.Statement<unknown[]> | undefined {
    if (this.#schemaSeen === undefined || this.#mayFailHalfway) return undefined
    let known = this.#guarded.get(compiled)
    if (known === undefined) {
      const [head, filter, ...others] = compiled.sql.split(' where ')
      const sql = `${head} where (select schema_version from pragma_schema_version) = ${this.#schemaSeen} and (${filter})`
      known = { driver: filter === undefined || others.length > 0 ? undefined : this.raw.prepare<unknown[]>(sql) }
      this.#guarded.set(compiled, known)
    }
    return known.driver
  }

  /**
   * Runs the writes in order; `done` gets each outcome. Must run inside a savepoint: if a write or `done` throws, the writes
   * before it stay.
   */
  writeAll<R>(bounds: readonly BoundStatement<R>[], done: (written: Written<R>, at: number) => void): void {
    let tries = true
    for (let at = 0; at < bounds.length; ) {
      const together = tries ? this.writeTogether(bounds, at) : NONE
      if (together === undefined) tries = false
      else for (const written of together) done(written as Written<R>, at++)
      if (together === undefined || together.length === 0) {
        done(this.write(bounds[at] as BoundStatement<R>), at)
        at++
      }
    }
  }

  /**
   * Runs the writes from `from` on as one statement, if they are inserts of the same kind: an empty list if they are not.
   * `undefined` if one of the rows was not written, or was refused: nothing has changed then, and `write` says which. Must run
   * inside a transaction. Throws if SQLite has rolled it back.
   */
  writeTogether(
    bounds: readonly (BoundStatement<unknown> | undefined)[],
    from: number,
  ): readonly Written<unknown>[] | undefined {
    const end = this.#manyRows.endOf(bounds, from)
    if (end === from) return NONE
    if (!statementTracing.hasSubscribers) return this.#writeRows(bounds, from, end)
    return traceSync(statementTracing, { name: `${bounds[from]?.compiled.name}*` }, (event) => {
      const written = this.#writeRows(bounds, from, end)
      event.rows = written?.length ?? 0
      return written
    })
  }

  #writeRows(
    bounds: readonly (BoundStatement<unknown> | undefined)[],
    from: number,
    end: number,
  ): readonly Written<unknown>[] | undefined {
    try {
      return this.savepoint(() => {
        const written = this.#manyRows.run(bounds, from, end)
        if (written === undefined) throw NOT_ALL
        return written
      })
    } catch (error) {
      if (this.raw.inTransaction) return undefined
      throw translated(error, this.raw.name)
    }
  }

  #traced<R>({ name }: Compiled<never, R>, run: () => Written<R>): Written<R> {
    if (!statementTracing.hasSubscribers) return this.#translating(run)
    return traceSync(statementTracing, { name }, (event) => {
      const written = this.#translating(run)
      event.rows = written.changes
      return written
    })
  }

  #translating<T>(run: () => T): T {
    try {
      return run()
    } catch (error) {
      throw translated(error, this.raw.name)
    }
  }

  #prepare<R>(compiled: Compiled<never, R>): Sqlite.Statement<unknown[]> {
    const known = this.#prepared.get(compiled)
    if (known !== undefined) return known
    const driver = this.#parse(compiled)
    // Rows as arrays, in the order in which the statement selects.
    if (compiled.decode !== undefined) driver.raw()
    this.#prepared.set(compiled, driver)
    return driver
  }

  #parse<R>(compiled: Compiled<never, R>): Sqlite.Statement<unknown[]> {
    try {
      return this.raw.prepare<unknown[]>(compiled.sql)
    } catch (error) {
      throw explained(error, compiled, this.raw)
    }
  }

  /** Rolls `run` back if it throws. Must run inside a transaction. */
  savepoint<T>(run: () => T): T {
    this.#savepoint ??= {
      begin: this.raw.prepare('SAVEPOINT unit'),
      release: this.raw.prepare('RELEASE unit'),
      undo: this.raw.prepare('ROLLBACK TO unit'),
    }
    this.#savepoint.begin.run()
    try {
      const result = run()
      this.#savepoint.release.run()
      return result
    } catch (error) {
      this.#undo(this.#savepoint)
      throw error
    }
  }

  #undo({ undo, release }: SavepointStatements): void {
    // After a full disk or an I/O error SQLite has already rolled back the transaction.
    if (!this.raw.inTransaction) return
    try {
      undo.run()
      release.run()
    } catch {
      // The savepoint cannot be undone: roll back all, so that no half of a write is committed.
      if (this.raw.inTransaction) this.raw.exec('ROLLBACK')
    }
  }

  control(sql: string): void {
    this.#translating(() => this.raw.exec(sql))
  }

  /** Whether an error ended the transaction: after a full disk or an I/O error SQLite has rolled back. */
  endedBy(): 'transaction' | 'nothing' {
    return this.raw.inTransaction ? 'nothing' : 'transaction'
  }

  close(): void {
    this.#prepared = new WeakMap()
    this.#guarded = new WeakMap()
    this.raw.close()
  }
}

/** The characters of a row's texts. */
function sizeOf(row: readonly unknown[]): number {
  let size = 0
  for (const cell of row) if (typeof cell === 'string') size += cell.length
  return size
}

const decodeAll = <R>(compiled: Compiled<never, R>, rows: unknown[]): R[] => {
  const { decode } = compiled
  return decode === undefined ? [] : rows.map((row) => decode(row as unknown[]))
}
