import { expect } from 'vitest'
import type { MeshBundle, MeshPath } from '../../src/pathfinder/bundle.ts'
import type { Topology } from '../../src/topology.ts'

type Step = readonly [string, string]
const nameOf = ([a, b]: Step): string => (a < b ? `${a} ${b}` : `${b} ${a}`)
const stepsOf = ({ nodes }: MeshPath): string[] =>
  nodes.slice(1).map((node, index) => nameOf([nodes[index] ?? '', node]))

/** Judges bundles by the map alone. */
export class PathJudge {
  readonly #costs = new Map<string, number>()

  constructor({ links }: Topology) {
    for (const { source, target, cost } of links) {
      const name = nameOf([source, target])
      this.#costs.set(name, Math.min(cost, this.#costs.get(name) ?? cost))
    }
  }

  /** Every path leads over links from end to end and crosses no node twice; primary ones share no link. */
  judge({
    source,
    destination,
    primary,
    alternatives,
  }: Pick<MeshBundle, 'source' | 'destination' | 'primary' | 'alternatives'>): void {
    for (const path of [...primary, ...alternatives]) {
      expect([path.nodes[0], path.nodes.at(-1)]).toEqual([source, destination])
      expect(new Set(path.nodes).size).toBe(path.nodes.length)
      const costs = stepsOf(path).map((step) => this.#costs.get(step))
      expect(costs).not.toContain(undefined)
      expect(path.total_weight).toBeCloseTo(
        costs.reduce<number>((sum, cost = Number.NaN) => sum + cost, 0),
        6,
      )
    }
    const used = primary.flatMap(stepsOf)
    expect(new Set(used).size, 'links of primary paths').toBe(used.length)
    const ids = [...primary, ...alternatives].map(({ path_id }) => path_id)
    expect(new Set(ids).size, 'paths').toBe(ids.length)
    for (const paths of [primary, alternatives]) {
      const scores = paths.map(({ composite_score }) => composite_score)
      expect(scores).toEqual(scores.toSorted((a, b) => a - b))
    }
  }
}

export const totalOf = (paths: readonly MeshPath[]): number =>
  paths.reduce((sum, { total_weight }) => sum + total_weight, 0)

/** All ordered pairs of different nodes. */
export const everyPair = (ids: readonly string[]): [string, string][] =>
  ids.flatMap((a) => ids.filter((b) => b !== a).map((b): [string, string] => [a, b]))
