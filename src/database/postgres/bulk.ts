/** Many calls as one statement. */
import type { Call, Written } from '../session.ts'
import type { BoundStatement, Bulk, StatementCompiler } from '../statement.ts'

/** Calls that run as one statement: they are of one kind, and have different keys. */
export interface Group<R> {
  readonly bulk: Bulk<R> | undefined
  readonly bounds: BoundStatement<R>[]
}

/** Groups neighbouring calls that may run as one statement. Keeps the calls' order. */
export function groups<P, R>(calls: readonly Call<P, R>[], compiler: StatementCompiler): Group<R>[] {
  const all: Group<R>[] = []
  let keys = new Set<unknown>()
  for (const { statement, parameters } of calls) {
    const last = all.at(-1)
    const bulk = compiler.bulk(statement)
    const bound = compiler.bind(statement, parameters)
    const key = bulk && keyOf(bulk, bound)
    if (last !== undefined && bulk !== undefined && last.bulk === bulk && !keys.has(key)) last.bounds.push(bound)
    else {
      all.push({ bulk, bounds: [bound] })
      keys = new Set()
    }
    keys.add(key)
  }
  return all
}

export const keyOf = ({ keyAt }: Pick<Bulk<unknown>, 'keyAt'>, { values }: BoundStatement<unknown>): unknown =>
  values[keyAt]

/** The lists of a bulk statement. */
export function bindBulk<R>({ compiled }: Bulk<R>, bounds: readonly BoundStatement<R>[]): BoundStatement<R> {
  const width = bounds[0]?.values.length ?? 0
  const values = Array.from({ length: width }, (_, at) => bounds.map((bound) => bound.values[at]))
  return { compiled, values }
}

/** The result that each call would have on its own. */
export function resultsOf<R>(bulk: Bulk<R>, bounds: readonly BoundStatement<R>[], rows: readonly R[]): Written<R>[] {
  const byKey = new Map(rows.map((row) => [(row as Readonly<Record<string, unknown>>)[bulk.key], row]))
  return bounds.map((bound) => {
    const row = byKey.get(keyOf(bulk, bound))
    return row === undefined ? { rows: [], changes: 0 } : { rows: [row], changes: 1 }
  })
}
