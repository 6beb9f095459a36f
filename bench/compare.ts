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
  return compareRounds(rounds, async (round) => {
    const rawFirst = round % 2 === 0
    const before = rawFirst ? await sides.raw(round) : Number.NaN
    const ours = await sides.ours(round)
    return { ours, raw: rawFirst ? before : await sides.raw(round) }
  })
}

/**
 * For calls that wait for the disk: one of each side in turn, since the disk's speed moves within a round, and the
 * round's medians, since one slow sync would spoil an average.
 */
export async function compareByTurns(
  sides: { readonly ours: (n: number) => Promise<unknown>; readonly raw: (n: number) => unknown },
  { rounds, calls }: { readonly rounds: number; readonly calls: number },
): Promise<Comparison> {
  return compareRounds(rounds, async (round) => {
    const ours: number[] = []
    const raw: number[] = []
    for (let n = round * calls; n < (round + 1) * calls; n++) {
      const oursFirst = n % 2 === 0
      if (!oursFirst) raw.push(timeOf(() => sides.raw(n)))
      const begun = performance.now()
      await sides.ours(n)
      ours.push(performance.now() - begun)
      if (oursFirst) raw.push(timeOf(() => sides.raw(n)))
    }
    return { ours: medianOf(ours), raw: medianOf(raw) }
  })
}

function timeOf(call: () => unknown): number {
  const begun = performance.now()
  call()
  return performance.now() - begun
}

async function compareRounds(
  rounds: number,
  measure: (round: number) => Promise<{ ours: number; raw: number }>,
): Promise<Comparison> {
  for (let round = 0; round < WARM_UP_ROUNDS; round++) await measure(round)
  const costs: { ours: number; raw: number }[] = []
  for (let round = 0; round < rounds; round++) costs.push(await measure(WARM_UP_ROUNDS + round))
  return {
    ours: summaryOf(costs.map(({ ours }) => ours)),
    raw: summaryOf(costs.map(({ raw }) => raw)),
    ratio: summaryOf(costs.map(({ ours, raw }) => ours / raw)),
  }
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
