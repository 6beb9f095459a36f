/** What of our tables a database has lost, as far as every open looks: tables, keys, CHECKs and triggers. */
import { StorageError } from '../errors.ts'
import type { Difference } from './drift.ts'
import type { Made } from './made.ts'

const missing = (table: string, part: Difference['part'], what: string): Difference => ({
  table,
  part,
  kind: 'missing',
  what,
})

export const missingTrigger = (table: string, name: string): Difference => missing(table, 'trigger', `trigger ${name}`)

/** What the tables must have beside their triggers. */
export const expectedOf = ({ tables }: Made): Difference[] =>
  [...tables].flatMap(([name, constraints]) => [
    missing(name, 'table', 'the table'),
    ...[...constraints].map((what) => missing(name, 'constraint', what)),
  ])

/**
 * Without its triggers a database serves cached paths of nodes that have changed, and subscribers miss changes: it must not
 * be opened. Indexes and columns are compared by `meshstore check` alone.
 */
export function missingError(parts: readonly Difference[]): StorageError | undefined {
  if (parts.length === 0) return undefined
  const named = Object.entries(Object.groupBy(parts, ({ table }) => table)).map(([table, found = []]) => {
    const gone = found.filter(({ part }) => part === 'table')
    return `${table} (${(gone.length > 0 ? gone : found).map(({ what }) => what).join(', ')})`
  })
  return new StorageError(
    'SCHEMA_MISMATCH',
    `The tables are not as the migrations made them. Missing: ${named.join('; ')}. Meanwhile changed nodes may have kept their cached paths, and changes may not have been reported. Run meshstore migrate repair.`,
  )
}
