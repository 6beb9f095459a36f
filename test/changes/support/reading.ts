/** Reads changes, and says what they are in a few words. */
import type { Change, Changes, Meshstore } from '../../../src/index.ts'
import { node } from '../../support/samples.ts'

/** `insert nodes a`, `invalidate path_cache {"through":"a"}`, `truncate nodes` */
export const words = ({ table, operation, key, paths }: Change): string =>
  [operation, table, key ?? (paths && JSON.stringify(paths))].filter((word) => word !== undefined).join(' ')

/** The next ones. */
export async function take(changes: Changes, count: number): Promise<Change[]> {
  const taken: Change[] = []
  while (taken.length < count) {
    const { value } = await changes.next()
    if (value === undefined) throw new Error(`The changes ended after ${taken.map(words).join(', ')}`)
    taken.push(value)
  }
  return taken
}

let markers = 0

/** All that was committed until now, in words: what does not come before a mark that is set now does not come. */
export async function committed(changes: Changes, store: Meshstore): Promise<string[]> {
  return (await committedChanges(changes, store)).map(words)
}

export async function committedChanges(changes: Changes, store: Meshstore): Promise<Change[]> {
  const nodeId = `marker-${markers++}`
  await store.nodes.create(node(nodeId))
  const taken: Change[] = []
  for (;;) {
    const [change] = await take(changes, 1)
    if (change === undefined || change.key === nodeId) return taken
    taken.push(change)
  }
}

/** Subscribed, from now on. */
export async function subscribed(store: Meshstore, options?: Parameters<Meshstore['changes']>[0]): Promise<Changes> {
  const changes = store.changes(options)
  await changes.ready()
  return changes
}
