import type { KeyedQueue } from '../../../src/database/postgres/keyed-queue.ts'
import type { Meshstore, StorageOptions } from '../../../src/index.ts'
import { configOf } from '../../../src/open/config.ts'
import { openTarget } from '../../../src/open/open.ts'
import { Store } from '../../../src/store.ts'

/** A store, and the order of its calls. */
export async function openWithQueue(options: StorageOptions): Promise<{ store: Meshstore; queue: KeyedQueue }> {
  const config = configOf(options)
  const database = await openTarget(config.target, config)
  if (!('queue' in database)) throw new TypeError('It is no database of PostgreSQL.')
  return { store: new Store(database, config), queue: database.queue as KeyedQueue }
}
