/** The objects themselves, in this process: nothing is stored, copied or parsed. */
import { LRUCache } from 'lru-cache'
import type { PathBundle } from '../../../src/index.ts'
import { MOST_ENTRIES, TTL_SECONDS, textKey } from '../../cache-data.ts'
import type { CachePeerModule } from '../../peer.ts'

export const open: CachePeerModule['open'] = () => {
  const cache = new LRUCache<string, PathBundle>({ max: MOST_ENTRIES, ttl: TTL_SECONDS * 1_000 })
  return {
    get: (key) => cache.get(textKey(key)),
    set: (key, bundle) => cache.set(textKey(key), bundle),
    close: () => cache.clear(),
  }
}
