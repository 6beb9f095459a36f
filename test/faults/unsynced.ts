/** Another program with `PRAGMA synchronous = OFF`: its checkpoints sync nothing. */
import { statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { eventually } from '../postgres/support/eventually.ts'

/** So many bytes are several commits, of which each was synced before the next one began. */
const SOME_COMMITS = 64_000

/** Moves the log into the file, and empties it, while others write. Returns when they have written to the log again. */
export async function emptyLogUnsynced(path: string): Promise<void> {
  const raw = new Sqlite(path)
  try {
    raw.pragma('synchronous = OFF')
    const isBusy = (): boolean => raw.pragma('wal_checkpoint(TRUNCATE)', { simple: true }) !== 0
    await eventually('no other program holds the log', () => !isBusy(), 60_000)
    await eventually('the log grows', () => statSync(`${path}-wal`).size > SOME_COMMITS, 60_000)
  } finally {
    raw.close()
  }
}
