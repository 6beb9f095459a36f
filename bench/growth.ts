/** The cost of a call in a large database by its cost in a small one, beside the growth of the same by hand. */
import { atMost, type Result, type Target } from './result.ts'
import { summaryOf } from './statistics.ts'

/** By the growth of the same thing by hand. */
const LIMIT = 1.3

export interface Sized {
  readonly rows: number
}

export interface Operation<Side extends Sized> {
  readonly name: string
  /** Calls in a round. */
  readonly calls: number
  readonly ours: (side: Side, n: number) => Promise<unknown>
  readonly byHand: (side: Side, n: number) => unknown
  /** Fewer rounds than the others: one call takes seconds in the large database. */
  readonly rounds?: number
  /** The limit for the growth of ours alone, however raw grows. */
  readonly limit?: number
}

/** Milliseconds that a call takes. What returns no promise is not waited for: that would be counted as the raw driver's. */
async function each(calls: number, call: (n: number) => unknown): Promise<number> {
  const begun = performance.now()
  for (let n = 0; n < calls; n++) {
    const result = call(n)
    if (result instanceof Promise) await result
  }
  return (performance.now() - begun) / calls
}

export async function grown<Side extends Sized>(
  { name, calls, ours, byHand, limit }: Operation<Side>,
  small: Side,
  big: Side,
  rounds: number,
): Promise<Result> {
  const growths: Growth[] = []
  for (let round = 0; round < rounds; round++) {
    const nth = (n: number): number => round * calls + n
    const ours1 = await each(calls, (n) => ours(small, nth(n)))
    const ours2 = await each(calls, (n) => ours(big, nth(n)))
    const raw1 = await each(calls, (n) => byHand(small, nth(n)))
    const raw2 = await each(calls, (n) => byHand(big, nth(n)))
    growths.push({ ours: ours2 / ours1, raw: raw2 / raw1 })
  }
  return resultOf(name, small, big, growths, limit)
}

/** One round: what the large database took by what the small one did. */
export interface Growth {
  readonly ours: number
  readonly raw: number
}

export function resultOf(name: string, small: Sized, big: Sized, growths: readonly Growth[], limit?: number): Result {
  const [ours, raw] = [summaryOf(growths.map((growth) => growth.ours)), summaryOf(growths.map((growth) => growth.raw))]
  const ratio = summaryOf(growths.map((growth) => growth.ours / growth.raw))
  const targets: Target[] = [atMost(LIMIT, ratio.p50, '×', `${LIMIT} × raw's growth`)]
  if (limit !== undefined)
    targets.unshift(atMost(limit, ours.p50, '×', `${limit} × that at ${small.rows.toLocaleString('en')}`))
  return { name: `${name} at ${big.rows.toLocaleString('en')} rows`, unit: '×', ours, raw, ratio, targets }
}
