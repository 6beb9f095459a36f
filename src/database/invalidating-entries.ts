import { INVALIDATING } from '../schema/triggers.ts'
import type { LoggedChange } from './session.ts'

/**
 * Writes an entry of a topology change out as two changes. The invalidation comes first, with the position before the entry: a
 * reader that resumes there gets it once more, and misses nothing. `before`: the position before the first entry.
 */
export function withInvalidations(entries: LoggedChange[], before: string): LoggedChange[] {
  if (!entries.some(isInvalidating)) return entries
  let previous = before
  return entries.flatMap((entry) => {
    const position = previous
    previous = entry.position
    if (!isInvalidating(entry)) return entry
    const operation = entry.operation.slice(0, -INVALIDATING.length)
    const filter = JSON.stringify({ through: entry.key })
    return [
      { table: 'path_cache', key: filter, operation: 'invalidate', position },
      { ...entry, operation },
    ]
  })
}

const isInvalidating = ({ operation }: LoggedChange): boolean => operation.endsWith(INVALIDATING)
