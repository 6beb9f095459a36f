/** Runs an application's own statements on a session. */
import type { SchemaTypes, Statements } from '../api.ts'
import type { Session } from '../database/session.ts'
import { misuse } from '../errors.ts'
import type { AnyTables } from './described.ts'
import { type Build, ownStatement, statementOf } from './query.ts'

/** The name of every query that is built for one call, for tracing. */
const UNNAMED = 'app:(unnamed)'

type Values = Readonly<Record<string, unknown>>

/** A copy: the caller may change them while the call waits. A value that cannot be copied is refused when it is checked. */
const checked = (parameters: unknown): Values => {
  if (typeof parameters === 'object' && parameters !== null)
    return Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, copyOf(value)]))
  throw misuse('The parameters of a statement must be an object. Give it a property for each parameter.')
}

function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  try {
    return structuredClone(value)
  } catch {
    return value
  }
}

export function statementsOn(session: Session, tables: AnyTables = {}): Statements<SchemaTypes> {
  const query = async (query: unknown, parameters: unknown = {}): Promise<object[]> => {
    if (typeof query !== 'function')
      return session.read(statementOf(query as object, 'query', tables), checked(parameters))
    const statement = ownStatement(UNNAMED, 'query', tables, query as Build<AnyTables, object, unknown>)
    return session.read({ ...statement, isOnce: true }, {})
  }
  const run = async (change: unknown, parameters: unknown = {}): Promise<{ rows: object[]; changes: number }> => {
    const { rows, changes } = await session.write(statementOf(change as object, 'change', tables), checked(parameters))
    return { rows, changes }
  }
  // The contract's types follow from the application's schema, which the compiler has checked.
  return { query, run } as unknown as Statements<SchemaTypes>
}
