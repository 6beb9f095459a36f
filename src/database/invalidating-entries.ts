import { INVALIDATING } from '../schema/triggers.ts'
import type { LoggedChange } from './session.ts'

/**
 * Writes an entry of a topology change out as two changes. The invalidation comes first, with the position before the entry: a
 * reader that resumes there gets it once more, and misses nothing. `before`: the position before the first entry.
 */
export function withInvalidations(entries: LoggedChange[], before: string): LoggedChange[] {
  if (!entries.some(isInvalidating)) return entries
  const changes: LoggedChange[] = []
  let previous = before
  for (const entry of entries) {
    if (isInvalidating(entry)) {
      const { table, key, operation, position } = entry
      changes.push(
        { table: 'path_cache', key: null, operation: 'invalidate', position: previous, through: key },
        { table, key, operation: operation.slice(0, -INVALIDATING.length), position },
      )
    } else changes.push(entry)
    previous = entry.position
  }
  return changes
}

const isInvalidating = ({ operation }: LoggedChange): boolean => operation.endsWith(INVALIDATING)
