import { propertyOf, StorageError } from '../../errors.ts'
import type { Call } from '../session.ts'
import type { StatementCompiler } from '../statement.ts'
import { isConstraint } from './errors.ts'

/** Adds the table and the key of the refused call to the error. A standby's refusal (READ_ONLY) concerns no row, and stays as it is. */
export function refusedRow<P, R>(error: unknown, compiler: StatementCompiler, call: Call<P, R>): unknown {
  if (!isConstraint(error) || error.code === 'READ_ONLY') return error
  const { table, key } = compiler.target(call.statement) ?? {}
  if (table === undefined || key === undefined) return error
  const row = JSON.stringify(propertyOf(call.parameters, key))
  return new StorageError(error.code, `${table} ${row}: ${error.message}`, { cause: error.cause })
}
