import { isId, isLimit, type Rules } from '../schema/rules.ts'

export const PAGE_RULES: Rules = { limit: isLimit, after: isId }

/**
 * An update that found nothing to change, of a row that is there and as it should be, is tried again so often: somebody may
 * have been quick, or a trigger may drop it for ever.
 */
export const ATTEMPTS = 10

/** Rows that `iterate` reads at once: more are no faster, and all of them are held at the same time. */
const ITERATION_PAGE = 100

/**
 * Keyset pagination over all pages. No statement stays open between two of them: an open one would pin the reader's
 * snapshot and keep the write-ahead log from being emptied. Keys ascend, so that each comes at most once.
 */
export async function* iteratePages<R>(
  page: (position: { after: string | undefined; limit: number }) => Promise<R[]>,
  keyOf: (row: R) => string,
): AsyncGenerator<R, void, undefined> {
  let after: string | undefined
  for (;;) {
    const rows = await page({ after, limit: ITERATION_PAGE })
    for (const row of rows) yield row
    const last = rows.at(-1)
    if (last === undefined || rows.length < ITERATION_PAGE) return
    after = keyOf(last)
  }
}
