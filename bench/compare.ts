/** Two sides in the same run: rounds of one and the other in turn, so that what disturbs the machine disturbs both. */
import { medianOf, type Summary, summaryOf } from './statistics.ts'

export interface Comparison {
  readonly ours: Summary
  readonly raw: Summary
  /** Ours by raw, round by round. */
  readonly ratio: Summary
}

export interface Sides {
  /** One round: what a single operation cost. */
  readonly ours: (round: number) => Promise<number>
  readonly raw: (round: number) => number | Promise<number>
}

const WARM_UP_ROUNDS = 5

export async function compare(sides: Sides, rounds: number): Promise<Comparison> {
  const ours: number[] = []
  const raw: number[] = []
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    const number = round + WARM_UP_ROUNDS
    const rawFirst = round % 2 === 0
    if (rawFirst) raw.push(await sides.raw(number))
    ours.push(await sides.ours(number))
    if (!rawFirst) raw.push(await sides.raw(number))
  }
  const counted = (figures: readonly number[]): readonly number[] => figures.slice(WARM_UP_ROUNDS)
  const ratios = ours.map((cost, round) => cost / (raw[round] ?? Number.NaN))
  return { ours: summaryOf(counted(ours)), raw: summaryOf(counted(raw)), ratio: summaryOf(counted(ratios)) }
}

/** Milliseconds that one call takes, on average over `calls`. */
export async function eachAwaited(calls: number, call: (n: number) => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  for (let n = 0; n < calls; n++) await call(n)
  return (performance.now() - begun) / calls
}

export function each(calls: number, call: (n: number) => unknown): number {
  const begun = performance.now()
  for (let n = 0; n < calls; n++) call(n)
  return (performance.now() - begun) / calls
}

/** The same for calls that wait for the disk, where one slow sync would spoil an average: the median. */
export async function medianOfAwaited(calls: number, call: (n: number) => Promise<unknown>): Promise<number> {
  const times: number[] = []
  for (let n = 0; n < calls; n++) {
    const before = performance.now()
    await call(n)
    times.push(performance.now() - before)
  }
  return medianOf(times)
}

export function medianOfEach(calls: number, call: (n: number) => unknown): number {
  const times: number[] = []
  for (let n = 0; n < calls; n++) {
    const before = performance.now()
    call(n)
    times.push(performance.now() - before)
  }
  return medianOf(times)
}
