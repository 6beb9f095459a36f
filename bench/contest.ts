/** Rounds of several contestants in turn: what disturbs the machine disturbs all of them. */
import type { Cell } from './comparison-table.ts'
import { summaryOf } from './statistics.ts'

/** One round of one contestant: what an operation cost, in the unit that is shown. */
export type Round = (round: number) => Promise<number>

/** A cell for each contestant; the ratios are by the first one's of the same round. Each round begins with another. */
export async function contest(
  rounds: readonly (Round | undefined)[],
  { warmUp, count }: { readonly warmUp: number; readonly count: number },
): Promise<(Cell | undefined)[]> {
  const costs = rounds.map((): number[] => [])
  for (let round = 0; round < warmUp + count; round++) {
    for (let turn = 0; turn < rounds.length; turn++) {
      const which = (round + turn) % rounds.length
      const cost = await rounds[which]?.(round)
      if (round >= warmUp && cost !== undefined) costs[which]?.push(cost)
    }
  }
  const first = costs[0] ?? []
  return costs.map((own, which) => {
    if (rounds[which] === undefined) return undefined
    const ratios = own.map((cost, round) => cost / (first[round] ?? Number.NaN))
    return { value: summaryOf(own), ratio: which === 0 ? undefined : summaryOf(ratios) }
  })
}
