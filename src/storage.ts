import type { Meshstore, OwnSchema, SchemaTypes, StorageOptions } from './api.ts'
import { MovableDatabase } from './database/movable-database.ts'
import type { Session } from './database/session.ts'
import type { SqliteDatabase } from './database/sqlite/sqlite-database.ts'
import { Successor } from './database/successor.ts'
import { StorageError } from './errors.ts'
import { assertArrived, assertNotMoveTarget } from './move/live/handover.ts'
import { type Config, configOf } from './open/config.ts'
import { openTarget, preloadDriver } from './open/open.ts'
import { invalidationOf, remember } from './repositories/state.ts'
import { Store } from './store.ts'
import { loadOwnTables } from './tables/on-demand.ts'

/**
 * Opens a store. Creates the file and its folder if they are missing, and brings the schema up to date (see `migrate`).
 *
 *     await using store = await openStorage('sqlite:./mesh.db')
 *     await using other = await openStorage({ url: 'postgres://app@db.example/mesh', migrate: 'check' })
 *
 * @throws {StorageError} CONFIG (the URL, an option or the environment cannot be used; see `issues`), SCHEMA_MISMATCH, SCHEMA_NEWER,
 * MIGRATION_EDITED, MIGRATION_MISSING and MIGRATION_OUT_OF_ORDER (the schema is not the one that this version works with), CORRUPT,
 * READ_ONLY, STORAGE_FULL, BUSY, UNAVAILABLE, MOVED (the data has moved, and `successor` is not set)
 */
export function openStorage<S extends SchemaTypes>(
  options: StorageOptions & { readonly tables: OwnSchema<S> },
): Promise<Meshstore<S>>
export function openStorage(target: string | StorageOptions): Promise<Meshstore>
export async function openStorage(options: string | StorageOptions): Promise<Meshstore> {
  const config = configOf(options)
  const { target } = config
  const own = config.own && (await loadOwnTables())
  const isFile = target.dialect === 'sqlite' && target.path !== ':memory:'
  const movable = isFile ? asMovable(await openTarget(target, config), config) : undefined
  const database = movable ?? (await openTarget(target, config))
  const store = new Store(database, config, own)
  try {
    // The data may have moved already.
    await movable?.settled()
    if (target.dialect === 'postgresql') await assertNotMoveTarget(database)
    await settleInvalidation(database, config)
    await store.prepared()
    store.start()
    return store
  } catch (error) {
    await store.close()
    throw error
  }
}

/** A file's data may move to PostgreSQL while it is open. */
function asMovable(file: SqliteDatabase, config: Config): MovableDatabase {
  const { successor, maxPendingWrites, readOnly, now } = config
  if (successor !== undefined) preloadDriver(successor)
  return new MovableDatabase(file, {
    maxPendingWrites,
    successor:
      successor &&
      new Successor({
        open: () => openTarget(successor, config),
        assertArrived: (next, { id }) => assertArrived(next, id, { readOnly, now }),
      }),
  })
}

/** The database records the invalidation mode, which its triggers read. */
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
