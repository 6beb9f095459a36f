/** Durations, counted in buckets that grow by a tenth: a percentile is right to 5 %, and thousands a second cost little. */
const LEAST_MS = 0.001
const GROWTH = 1.1

const bucketOf = (milliseconds: number): number =>
  Math.max(0, Math.round(Math.log(milliseconds / LEAST_MS) / Math.log(GROWTH)))

export class Durations {
  readonly #counts = new Map<number, number>()
  count = 0

  add(milliseconds: number): void {
    const bucket = bucketOf(milliseconds)
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1)
    this.count++
  }

  /** The duration in milliseconds that `share` of all do not exceed; null if there are none. */
  static percentile(all: readonly Durations[], share: number): number | null {
    const total = all.reduce((sum, { count }) => sum + count, 0)
    if (total === 0) return null
    const counts = new Map<number, number>()
    for (const { bucket, count } of all.flatMap((each) => each.#buckets()))
      counts.set(bucket, (counts.get(bucket) ?? 0) + count)
    let left = share * total
    for (const [bucket, count] of [...counts].toSorted(([a], [b]) => a - b)) {
      left -= count
      if (left <= 0) return LEAST_MS * GROWTH ** bucket
    }
    throw new Error('The buckets hold less than was counted.')
  }

  #buckets(): { bucket: number; count: number }[] {
    return [...this.#counts].map(([bucket, count]) => ({ bucket, count }))
  }
}
