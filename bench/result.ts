/** A row of the benchmark. */
import type { Comparison } from './compare.ts'
import type { Summary } from './statistics.ts'

export type Unit = 'ms' | 'µs' | '/s' | 'MB' | 'MiB' | '×' | ''

export interface Target {
  /** Like `≤ 1.35 × raw`. */
  readonly text: string
  /** The figure it is compared with, as it is shown. */
  readonly value: number
  readonly unit: Unit
  readonly met: boolean
}

export interface Result {
  readonly name: string
  readonly unit: Unit
  readonly ours: Summary
  readonly raw?: Summary | undefined
  readonly ratio?: Summary | undefined
  readonly targets: readonly Target[]
  readonly notes?: readonly string[] | undefined
}

export const atMost = (limit: number, value: number, unit: Unit, what: string): Target => ({
  text: `≤ ${what}`,
  value,
  unit,
  met: value <= limit,
})
export const atLeast = (limit: number, value: number, unit: Unit, what: string): Target => ({
  text: `≥ ${what}`,
  value,
  unit,
  met: value >= limit,
})

/** The target that most rows have: ours within so many times the raw driver's time. */
export const atMostTimesRaw = (limit: number, { ratio }: Comparison): Target =>
  atMost(limit, ratio.p50, '×', `${limit} × raw`)

/** The same figures in another unit. */
export function scaled(summary: Summary, factor: number): Summary {
  const { samples, p10, p50, p90, p99 } = summary
  return { samples, p10: p10 * factor, p50: p50 * factor, p90: p90 * factor, p99: p99 * factor }
}

/** One by each of the figures: how much faster, for how many times as long. */
export function inverse({ samples, p10, p50, p90 }: Summary): Summary {
  return { samples, p10: 1 / p90, p50: 1 / p50, p90: 1 / p10, p99: Number.NaN }
}

/** So many of something took these milliseconds. */
export const perSecond = (milliseconds: Summary, count: number): Summary => scaled(inverse(milliseconds), count * 1_000)
