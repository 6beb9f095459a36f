import { compare, each, eachAwaited } from '../compare.ts'
import type { Benchmark } from '../context.ts'
import { withBothSides } from '../context.ts'
import { BUNDLES, keyOf, NODES, nodeId } from '../data.ts'
import { atMostTimesRaw, type Result, scaled } from '../result.ts'

const PAGE = 100
/** Neighbouring rows would be on the page that was read before. */
const scattered = (n: number, of: number): number => (n * 7_919) % of

export const reads: Benchmark = {
  name: 'read',
  run: (context) =>
    withBothSides(context, 'full', async (store, raw) => {
      // Rounds take a millisecond or two each: on a busy machine most of them end before another process has its turn.
      const rounds = context.quick ? 250 : 1_000
      const warmUp = 50
      const ids = Array.from({ length: NODES }, (_, n) => nodeId(scattered(n, NODES)))
      const keys = Array.from({ length: BUNDLES }, (_, n) => keyOf(scattered(n, BUNDLES)))
      const id = (n: number): string => ids[n % NODES] ?? ''
      const key = (n: number) => keys[n % BUNDLES] ?? keyOf(0)

      const calls = 400
      const byId = await compare(
        {
          ours: (round) => eachAwaited(calls, (n) => store.nodes.get(id(round * calls + n))),
          raw: (round) => each(calls, (n) => raw.node(id(round * calls + n))),
        },
        rounds,
        warmUp,
      )
      const cached = await compare(
        {
          ours: (round) => eachAwaited(calls, (n) => store.pathCache.get(key(round * calls + n))),
          raw: (round) => each(calls, (n) => raw.paths(key(round * calls + n))),
        },
        rounds,
        warmUp,
      )
      const first = (n: number): string => nodeId(scattered(n, NODES - PAGE))
      const page = await compare(
        {
          ours: (round) => eachAwaited(10, (n) => store.nodes.list({ after: first(round * 10 + n), limit: PAGE })),
          raw: (round) => each(10, (n) => raw.nodes(first(round * 10 + n), PAGE)),
        },
        rounds,
        warmUp,
      )
      const microseconds = (name: string, limit: number, measured: typeof byId): Result => ({
        name,
        unit: 'µs',
        ours: scaled(measured.ours, 1_000),
        raw: scaled(measured.raw, 1_000),
        ratio: measured.ratio,
        targets: [atMostTimesRaw(limit, measured)],
      })
      return [
        microseconds('read node by id', 1.35, byId),
        microseconds('cache lookup', 1.35, cached),
        microseconds(`read ${PAGE} nodes`, 1.5, page),
      ]
    }),
}
