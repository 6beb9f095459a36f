/** The paths beside those that looking at all of them finds. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readTopologyFile } from '../src/import/read.ts'
import { Pathfinder } from '../src/pathfinder/pathfinder.ts'
import type { Topology } from '../src/topology.ts'
import { everySimplePath, leastDisjoint } from './support/brute-force.ts'
import { everyPair, PathJudge, totalOf } from './support/path-checks.ts'
import { abilene, link, realTopologyFile, topologyOf } from './support/topologies.ts'

/** Every pair, every k: as many paths as there are, of least total weight, and the second best among what is given. */
function compare(topology: Topology): void {
  const finder = new Pathfinder(topology)
  const judge = new PathJudge(topology)
  for (const [source, destination] of everyPair(topology.nodeIds)) {
    const all = everySimplePath(topology, source, destination)
    for (const k of [1, 2, 3, 4]) {
      const bundle = finder.find({ source, destination, k })
      judge.judge(bundle)
      const best = leastDisjoint(all, k)
      expect(bundle.primary.length, `${source} ${destination} ${k}`).toBe(best.count)
      expect(totalOf(bundle.primary), `${source} ${destination} ${k}`).toBeCloseTo(best.weight, 6)
    }
    const [, second] = all
    const { primary, alternatives } = finder.find({ source, destination, k: 1 })
    if (second === undefined) expect(alternatives).toEqual([])
    else {
      expect(totalOf(primary)).toBeCloseTo(all[0]?.weight ?? Number.NaN, 6)
      expect(alternatives[0]?.total_weight).toBeCloseTo(second.weight, 6)
    }
  }
}

describe('the paths are those of least total weight', () => {
  test('on Abilene, over all pairs', () => compare(abilene()))

  const real = realTopologyFile('zoo-abilene')
  test.skipIf(real === undefined)('on the map of Abilene that others made', () => {
    compare(readTopologyFile(real ?? ''))
  })

  test('on random meshes', () => {
    const id = fc.integer({ min: 0, max: 6 }).map((number) => `n${number}`)
    // Weights of 0 and equal ones, too.
    const links = fc.array(fc.tuple(id, id, fc.integer({ min: 0, max: 9 })), { minLength: 1, maxLength: 11 })
    const runs = Number(process.env.RUNS ?? 60)
    fc.assert(
      fc.property(links, (given) => {
        const ends = new Map(
          given.filter(([a, b]) => a !== b).map(([a, b, cost]) => [[a, b].toSorted().join(), [a, b, cost] as const]),
        )
        fc.pre(ends.size > 0)
        compare(topologyOf([...ends.values()].map(([a, b, cost]) => link(a, b, cost))))
      }),
      { numRuns: runs },
    )
  })
})

describe('the pathfinder', () => {
  // The shortest path, a b c d, shares a link with each of the two that are disjoint.
  const trap = topologyOf([
    link('a', 'b', 1),
    link('b', 'c', 1),
    link('c', 'd', 1),
    link('a', 'c', 3),
    link('b', 'd', 3),
  ])

  test('finds two paths where a greedy search finds one', () => {
    const { primary } = new Pathfinder(trap).find({ source: 'a', destination: 'd', k: 2 })
    expect(primary.map(({ nodes }) => nodes.join('')).toSorted()).toEqual(['abd', 'acd'])
  })

  test('says of paths what the map says of links', () => {
    const finder = new Pathfinder(topologyOf([link('a', 'b', 2), link('b', 'c', 4)], { metric: '1/TQ' }))
    const now = new Date('2026-01-02T03:04:05.678Z')
    const { primary, generated_at } = finder.find({ source: 'a', destination: 'c', k: 1, now })
    expect(generated_at).toBe(now.getTime() / 1000)
    expect(primary).toEqual([
      {
        nodes: ['a', 'b', 'c'],
        path_id: expect.stringMatching(/^[0-9a-f]{16}$/),
        total_weight: 6,
        composite_score: 6 * (2 - 1 / 8),
        reliability_product: 1 / 8,
        disjoint_group: 1,
        created_at: now.toISOString(),
      },
    ])
  })

  test('takes the cheapest of several links between two nodes, once', () => {
    const finder = new Pathfinder(
      topologyOf([link('a', 'b', 5), link('b', 'a', 2), link('a', 'b', 3), link('a', 'a', 0)]),
    )
    const { primary, alternatives } = finder.find({ source: 'a', destination: 'b', k: 3 })
    expect(primary.map(({ total_weight }) => total_weight)).toEqual([2])
    expect(alternatives).toEqual([])
  })

  test('finds none from, to or across what is down, and none where nothing connects the two', () => {
    const finder = new Pathfinder(topologyOf([...trap.links, link('x', 'y', 1)]))
    const ask = (source: string, destination: string, down: string) =>
      finder.find({ source, destination, k: 3, isUp: (id) => id !== down }).primary.map(({ nodes }) => nodes.join(''))
    expect(ask('a', 'd', 'a')).toEqual([])
    expect(ask('a', 'd', 'd')).toEqual([])
    expect(ask('a', 'd', 'b')).toEqual(['acd'])
    expect(ask('a', 'x', '')).toEqual([])
    expect(ask('a', 'nobody', '')).toEqual([])
    expect(ask('a', 'a', '')).toEqual([])
  })
})
