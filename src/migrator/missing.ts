/** The check at every open: missing tables, keys, CHECKs and triggers. */
import { StorageError } from '../errors.ts'
import type { CreatedObjects } from './created-objects.ts'
import type { Difference } from './drift.ts'

const missing = (table: string, part: Difference['part'], what: string): Difference => ({
  table,
  part,
  kind: 'missing',
  what,
})

export const missingTrigger = (table: string, name: string): Difference => missing(table, 'trigger', `trigger ${name}`)

/** Tables, keys and CHECKs that must exist. */
export const expectedOf = ({ tables }: CreatedObjects): Difference[] =>
  [...tables].flatMap(([name, constraints]) => [
    missing(name, 'table', 'the table'),
    ...[...constraints].map((what) => missing(name, 'constraint', what)),
  ])

/**
 * A database without its triggers must not be opened: stale cached paths would be served, and subscribers would miss
 * changes. Only `meshstore check` compares indexes and columns.
 */
export function missingError(parts: readonly Difference[]): StorageError | undefined {
  if (parts.length === 0) return undefined
  const named = Object.entries(Object.groupBy(parts, ({ table }) => table)).map(([table, found = []]) => {
    const gone = found.filter(({ part }) => part === 'table')
    return `${table} (${(gone.length > 0 ? gone : found).map(({ what }) => what).join(', ')})`
  })
  return new StorageError(
    'SCHEMA_MISMATCH',
    `The tables are not as the migrations made them. Missing: ${named.join('; ')}. Meanwhile changed nodes may have kept their cached paths, and changes may not have been reported. Nothing was changed now. Run meshstore migrate repair.`,
  )
}
