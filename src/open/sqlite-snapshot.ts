import { translated } from '../database/sqlite/errors.ts'
import { movedError } from '../database/sqlite/fence.ts'
import type { Snapshot, SourceOptions } from '../rows/source.ts'
import { snapshotOf } from '../rows/sqlite-source.ts'
import { configOf } from './config.ts'
import { openSqlite } from './sqlite.ts'

/** Runs `work` on a consistent snapshot of a file that others may use. Throws StorageErrors. */
export async function withSqliteSnapshot<T>(
  path: string,
  { busyTimeoutMs, anySchema = false, refuseMoved = false }: SourceOptions,
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const migrate = anySchema ? 'skip' : 'check'
  // An operator waits for it, and can stop it.
  const walLimitBytes = Number.MAX_SAFE_INTEGER
  const config = configOf({ url: path, readOnly: true, migrate, busyTimeoutMs, walLimitBytes })
  const database = await openSqlite(path, config)
  try {
    const moved = refuseMoved ? database.movedTo() : undefined
    if (moved !== undefined) throw movedError(moved)
    return await database.withSnapshot('a copy', ({ raw }) => work(snapshotOf(raw)))
  } catch (error) {
    throw translated(error)
  } finally {
    await database.close()
  }
}
