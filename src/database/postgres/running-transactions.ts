import { performance, sleep } from '../../event-loop.ts'
import { ONLY_READS } from './pool.ts'

/** Each transaction holds a lock on its own id, which all roles can see. */
const RUNNING_TRANSACTIONS = `SELECT virtualxid || '/' || pid FROM pg_locks
  WHERE locktype = 'virtualxid' AND granted AND pid <> pg_backend_pid()
  AND pid IN (
    SELECT pid FROM pg_stat_activity WHERE datname = current_database()
    AND backend_type IS DISTINCT FROM 'autovacuum worker' AND coalesce(application_name, '') NOT LIKE '%${ONLY_READS}'
  )`
const LONGEST_PAUSE_MS = 32
const LONGEST_WAIT_MS = 64

/** See `Database.earlierWritersEnded`. `ask` returns the first column of the rows. */
export async function earlierWritersEnded(
  ask: (sql: string) => Promise<string[]>,
  withinMs = LONGEST_WAIT_MS,
): Promise<boolean> {
  const deadline = performance.now() + withinMs
  let earlier = await ask(RUNNING_TRANSACTIONS)
  for (let pause = 1; earlier.length > 0 && performance.now() + pause < deadline; ) {
    await sleep(pause)
    const running = new Set(await ask(RUNNING_TRANSACTIONS))
    earlier = earlier.filter((transaction) => running.has(transaction))
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS)
  }
  return earlier.length === 0
}
