/** A summary of a series of figures. */
export interface Summary {
  readonly samples: number
  readonly p10: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

export function summaryOf(figures: readonly number[]): Summary {
  const sorted = Float64Array.from(figures).sort()
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
  return { samples: sorted.length, p10: at(0.1), p50: at(0.5), p90: at(0.9), p99: at(0.99) }
}

export const medianOf = (figures: readonly number[]): number => summaryOf(figures).p50
