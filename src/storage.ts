import type { Meshstore, StorageOptions } from './api.ts'
import { MovableDatabase } from './database/movable-database.ts'
import type { Database, Session } from './database/session.ts'
import { Successor } from './database/successor.ts'
import { StorageError } from './errors.ts'
import { assertArrived, assertNotMoveTarget } from './move/live/handover.ts'
import { type Config, configOf } from './open/config.ts'
import { openTarget, preloadDriver } from './open/open.ts'
import { invalidationOf, remember } from './repositories/state.ts'
import { Store } from './store.ts'

/**
 * Opens a store: creates the file, and its folder, if they are missing, and brings the schema up to date.
 *
 * Rejects with CONFIG for what cannot be used, SCHEMA_MISMATCH, CORRUPT, BUSY or UNAVAILABLE.
 */
export async function openStorage(target: string | StorageOptions): Promise<Meshstore> {
  const config = configOf(target)
  const database = await openTarget(config.target, config)
  const movable = await asMovable(database, config)
  const store = new Store(movable ?? database, config)
  try {
    // The data may have moved already.
    await movable?.settled()
    if (database.dialect === 'postgresql') await assertNotMoveTarget(database)
    await settleInvalidation(movable ?? database, config)
    store.start()
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

/** A file's data may move to PostgreSQL while it is open. */
async function asMovable(database: Database, config: Config): Promise<MovableDatabase | undefined> {
  if (database.dialect === 'postgresql') return undefined
  const { SqliteDatabase } = await import('./database/sqlite/sqlite-database.ts')
  if (!(database instanceof SqliteDatabase) || database.path === ':memory:') return undefined
  const { successor, maxPendingWrites, readOnly } = config
  if (successor !== undefined) preloadDriver(successor)
  return new MovableDatabase(database, {
    maxPendingWrites,
    successor:
      successor &&
      new Successor({
        open: () => openTarget(successor, config),
        assertArrived: (next, { id }) => assertArrived(next, id, readOnly),
      }),
  })
}

/** It is the database's, so that the triggers know it. */
async function settleInvalidation(session: Session, { pathCache, readOnly, now }: Config): Promise<void> {
  const { invalidation } = pathCache
  if (invalidation === undefined) return
  const found = await invalidationOf(session)
  if (found === invalidation) return
  if (readOnly) {
    const message = `The invalidation of this database is '${found}', and a read-only store cannot change it to '${invalidation}'. Nothing was changed. Leave the option out, or open the store without readOnly.`
    throw new StorageError('CONFIG', message)
  }
  await remember(session, { name: 'path_cache_invalidation', value: invalidation, updatedAt: now() })
}
