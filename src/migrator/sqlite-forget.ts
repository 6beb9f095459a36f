import type Sqlite from 'better-sqlite3'
import { switchOff } from '../database/sqlite/change-log.ts'
import { encodeTime } from '../schema/codecs.ts'

/** Invalidates all cached paths, and ends all subscriptions with CHANGES_MISSED: triggers were missing. */
export function forgetWhatFollowedWrites(raw: Sqlite.Database, now: Date): void {
  raw.prepare('DELETE FROM meshstore_consumers').run()
  switchOff(raw)
  raw.prepare('INSERT INTO path_cache_marks (marked_at) VALUES (?)').run(encodeTime(now))
}
