/**
 * Until the storage drops the paths concerned itself, in the transaction that changes a node or a policy: all paths are
 * dropped after the change. To be removed with its calls.
 */
import type { Meshstore } from 'meshstore'

export async function forgetPaths(store: Meshstore): Promise<void> {
  await store.pathCache.clear()
}
