import { EventLoopYield, performance } from '../event-loop.ts'
import { isId, isLimit, type Rules } from '../schema/rules.ts'

export const PAGE_RULES: Rules = { limit: isLimit, after: isId }

/** Rows that `iterate` reads at once: more are no faster, and all of them are held at the same time. */
const MOST_ROWS = 100
/** A page may keep the event loop for so long: SQLite reads within the call. */
const PAGE_MS = 4

/**
 * Keyset pagination over all pages. No statement stays open between two of them: an open one would pin the reader's
 * snapshot and keep the write-ahead log from being emptied. Keys ascend, so that each comes at most once. `first` is for
 * rows that may be large: the first pages tell how many fit into `PAGE_MS`.
 */
export async function* iteratePages<R>(
  page: (position: { after: string | undefined; limit: number }) => Promise<R[]>,
  keyOf: (row: R) => string,
  first = MOST_ROWS,
): AsyncGenerator<R, void, undefined> {
  const yielding = new EventLoopYield()
  let after: string | undefined
  for (let limit = first; ; ) {
    const begun = performance.now()
    const reading = page({ after, limit })
    const share = PAGE_MS / (performance.now() - begun)
    const rows = await reading
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < limit) return
    after = keyOf(last)
    if (share < 1 || limit < MOST_ROWS) limit = Math.max(1, Math.min(Math.floor(limit * share), MOST_ROWS))
    if (yielding.isDue()) await yielding.now()
  }
}
