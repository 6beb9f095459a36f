/** Mistakes in an application's own statement, told by SQLSTATE and by the place in its SQL. */
import { propertyOf } from '../../errors.ts'
import type { Compiled } from '../statement.ts'

const MISSING_TABLE = '42P01'
const MISTAKES: ReadonlyMap<string, string> = new Map([
  [MISSING_TABLE, 'there is no table'],
  ['42601', 'there is a mistake in the syntax at'],
  ['42702', 'several tables have the column'],
  ['42703', 'there is no column'],
  ['42803', 'GROUP BY does not allow'],
  ['42804', 'the types do not fit at'],
  ['42883', 'there is no such function or operator for these types:'],
])
/** A name, with its table's before it; or what else stands there. */
const NAME = /^(?:(?:"[^"]*"|\w+)(?:\.(?:"[^"]*"|\w+))*|\S+)/

const statements = new WeakMap<object, Compiled<never, unknown>>()

/** Notes the statement in which an error came about, and returns the error. */
export function inStatement(error: unknown, compiled: Compiled<never, unknown>): unknown {
  if (compiled.ownTables !== undefined && typeof error === 'object' && error !== null) statements.set(error, compiled)
  return error
}

/** The fault of the application's statement. `undefined`: the error has another cause, or the database lacks a table of ours. */
export function mistakeOf(error: Error, sqlstate: string): string | undefined {
  const compiled = statements.get(error)
  const what = MISTAKES.get(sqlstate)
  if (compiled?.ownTables === undefined || what === undefined) return undefined
  // The server counts characters, not UTF-16 units. A trigger's function has no position in this SQL.
  const at = Number(propertyOf(error, 'position')) - 1
  const name = at >= 0 ? NAME.exec(Array.from(compiled.sql).slice(at).join(''))?.[0] : undefined
  if (name === undefined) return undefined
  if (sqlstate === MISSING_TABLE && compiled.ownTables().includes(name.replaceAll('"', ''))) return undefined
  return `The statement ${compiled.name} cannot run: ${what} ${name} (${sqlstate}). Nothing was read or written. Correct the statement.`
}
