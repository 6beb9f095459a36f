import { ownOf } from '../rows/own-tables.ts'
import type { Snapshot } from '../rows/source.ts'

/** Names of what a replica does not hold: `links`, `nodes.color`. */
export async function leftBehindOf(snapshot: Snapshot): Promise<readonly string[]> {
  const { tables } = await snapshot.tables()
  const others = await snapshot.others()
  return [
    ...ownOf(tables).map(({ name }) => name),
    ...others.map(({ table, column }) => (column === undefined ? table : `${table}.${column}`)),
  ]
}
