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

export async function compare(sides: Sides, rounds: number, warmUp = WARM_UP_ROUNDS): Promise<Comparison> {
  return compareRounds(
    rounds,
    async (round) => {
      const rawFirst = round % 2 === 0
      const before = rawFirst ? await sides.raw(round) : Number.NaN
      const ours = await sides.ours(round)
      return { ours, raw: rawFirst ? before : await sides.raw(round) }
    },
    warmUp,
  )
}

export interface Calls {
  readonly ours: (n: number) => Promise<unknown>
  readonly raw: (n: number) => unknown
}

/** Small enough for both sides to see the same disk, large enough for neither to find the processor's caches cold. */
const BLOCK = 10

/**
 * Milliseconds of each call, for calls that wait for the disk: some of one side and some of the other in turn, since the
 * speed of a disk changes from one moment to the next. Both sides get the numbers from `first` to `end`.
 */
export async function timesByTurns(
  sides: Calls,
  first: number,
  end: number,
): Promise<{ ours: number[]; raw: number[] }> {
  const ours: number[] = []
  const raw: number[] = []
  const block = async (times: number[], call: (n: number) => unknown, from: number): Promise<void> => {
    for (let n = from; n < Math.min(from + BLOCK, end); n++) {
      const begun = performance.now()
      // The raw driver's calls are over when they return: waiting for them would be counted as theirs.
      const result = call(n)
      if (result instanceof Promise) await result
      times.push(performance.now() - begun)
    }
  }
  for (let from = first, turn = 0; from < end; from += BLOCK, turn++) {
    if (turn % 2 === 0) await block(ours, sides.ours, from)
    await block(raw, sides.raw, from)
    if (turn % 2 === 1) await block(ours, sides.ours, from)
  }
  return { ours, raw }
}

/** Medians of each round, since one slow sync would spoil an average. */
export async function compareByTurns(
  sides: Calls,
  { rounds, calls }: { readonly rounds: number; readonly calls: number },
): Promise<Comparison> {
  return compareRounds(rounds, async (round) => {
    const { ours, raw } = await timesByTurns(sides, round * calls, (round + 1) * calls)
    return { ours: medianOf(ours), raw: medianOf(raw) }
  })
}

async function compareRounds(
  rounds: number,
  measure: (round: number) => Promise<{ ours: number; raw: number }>,
  warmUp = WARM_UP_ROUNDS,
): Promise<Comparison> {
  for (let round = 0; round < warmUp; round++) await measure(round)
  const costs: { ours: number; raw: number }[] = []
  for (let round = 0; round < rounds; round++) costs.push(await measure(warmUp + round))
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
