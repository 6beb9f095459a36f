import type pg from 'pg'
import { encodeTime } from '../schema/codecs.ts'

/** Invalidates all cached paths, and ends all subscriptions with CHANGES_MISSED: triggers were missing. */
export async function forgetWhatFollowedWrites(client: pg.PoolClient, now: Date): Promise<void> {
  await client.query("DELETE FROM meshstore_state WHERE name = 'change_log'")
  await client.query('DELETE FROM meshstore_consumers')
  await client.query('INSERT INTO path_cache_marks (marked_at) VALUES ($1)', [encodeTime(now)])
}
