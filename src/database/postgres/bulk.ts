/** Many calls of a statement that inserts one row, in one statement. */
import type { Call, Written } from '../session.ts'
import type { BoundStatement, Bulk, Statement, StatementCompiler } from '../statement.ts'

type Row = Readonly<Record<string, unknown>>

/** Calls that may run as one statement: of one kind, and each with a key of its own. */
export interface Group<P, R> {
  readonly statement: Statement<P, R>
  readonly bulk: Bulk<R> | undefined
  readonly calls: Call<P, R>[]
}

/** The calls in their order, those that follow one another grouped as far as they may run as one statement. */
export function groups<P, R>(calls: readonly Call<P, R>[], compiler: StatementCompiler): Group<P, R>[] {
  const all: Group<P, R>[] = []
  let keys = new Set<unknown>()
  for (const call of calls) {
    const last = all.at(-1)
    const key = last?.bulk && keyOf(last.bulk, call)
    if (last?.bulk !== undefined && last.statement === call.statement && !keys.has(key)) {
      last.calls.push(call)
      keys.add(key)
    } else {
      const bulk = compiler.bulk(call.statement)
      all.push({ statement: call.statement, bulk, calls: [call] })
      keys = new Set(bulk && [keyOf(bulk, call)])
    }
  }
  return all
}

// Parameters are an object of the row's values; their types were checked where the statement was written.
const rowOf = <P, R>({ parameters }: Call<P, R>): Row => parameters as Row

export const keyOf = <P, R>(bulk: Bulk<R>, call: Call<P, R>): unknown => rowOf(call)[bulk.key]

export function bindBulk<P, R>(bulk: Bulk<R>, calls: readonly Call<P, R>[]): BoundStatement<R> {
  const rows = calls.map(rowOf)
  const lists: Record<string, unknown[]> = {}
  for (const name of Object.keys(rows[0] ?? {})) lists[name] = rows.map((row) => row[name])
  return { compiled: bulk.compiled, values: bulk.compiled.bind(lists) }
}

/** What each call would have got by itself. */
export function resultsOf<P, R>(bulk: Bulk<R>, calls: readonly Call<P, R>[], rows: readonly R[]): Written<R>[] {
  const byKey = new Map(rows.map((row) => [(row as Row)[bulk.key], row]))
  return calls.map((call) => {
    const row = byKey.get(keyOf(bulk, call))
    return row === undefined ? { rows: [], changes: 0 } : { rows: [row], changes: 1 }
  })
}
