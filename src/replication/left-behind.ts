import type { Snapshot } from '../rows/source.ts'

/** Names of what a replica does not hold, as nothing describes it: `notes`, `nodes.color`. */
export async function leftBehindOf(snapshot: Snapshot): Promise<readonly string[]> {
  const others = await snapshot.others()
  return others.map(({ table, column }) => (column === undefined ? table : `${table}.${column}`))
}
