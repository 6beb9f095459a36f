import type { TestDatabase } from './database.ts'
import { eventually } from './eventually.ts'

/** Every transaction holds a lock on itself. */
const RUNNING = `SELECT virtualxid || '/' || pid AS name FROM pg_locks JOIN pg_stat_activity USING (pid)
  WHERE locktype = 'virtualxid' AND granted AND pid <> pg_backend_pid() AND datname = current_database()
  AND backend_type = 'client backend'`

/**
 * Resolves when the transactions that run now have ended. A COMMIT whose answer was lost may still be under way: by a server
 * that crashes it may be on its disk, and seen by nobody before it has recovered.
 */
export async function earlierEnded(database: TestDatabase): Promise<void> {
  let earlier: string[] | undefined
  await eventually('the transactions of before have ended', async () => {
    // While it is away nothing is known.
    const running = await database.query<{ name: string }>(RUNNING).catch(() => undefined)
    if (running === undefined) return false
    const names = running.map(({ name }) => name)
    earlier = earlier?.filter((name) => names.includes(name)) ?? names
    return earlier.length === 0
  })
}
