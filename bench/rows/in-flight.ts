import { compare } from '../compare.ts'
import type { Benchmark } from '../context.ts'
import { withBothSides } from '../context.ts'
import { nodeOf } from '../data.ts'
import { atLeast, inverse, perSecond } from '../result.ts'
import type { Summary } from '../statistics.ts'

const IN_FLIGHT = 1_000
const DURABLE_WRITES_PER_SECOND = 60_000
const SHARE_OF_HAND_MADE = 0.55

/** A thousand callers at once, each with a write of its own, against one who makes a batch of a thousand by hand. */
export const inFlight: Benchmark = {
  name: 'flight',
  run: (context) =>
    withBothSides(context, 'full', async (store, raw) => {
      const rounds = context.quick ? 20 : 80
      const batch = (round: number) => Array.from({ length: IN_FLIGHT }, (_, n) => nodeOf(n, `flight-${round}-${n}`))
      const measured = await compare(
        {
          ours: async (round) => {
            const nodes = batch(round)
            const begun = performance.now()
            await Promise.all(nodes.map((node) => store.nodes.create(node)))
            const took = performance.now() - begun
            // Outside of the time: the file stays at its size.
            await Promise.all(nodes.map(({ nodeId }) => store.nodes.delete(nodeId)))
            return took
          },
          raw: (round) => {
            const nodes = batch(round)
            const begun = performance.now()
            raw.createNodes(nodes)
            const took = performance.now() - begun
            raw.raw.prepare("DELETE FROM nodes WHERE node_id LIKE 'flight-%'").run()
            return took
          },
        },
        rounds,
      )
      const rate = (milliseconds: Summary): Summary => perSecond(milliseconds, IN_FLIGHT)
      const share = inverse(measured.ratio)
      return [
        {
          name: '1,000 inserts in flight, durable',
          unit: '/s',
          ours: rate(measured.ours),
          raw: rate(measured.raw),
          ratio: share,
          targets: [
            atLeast(DURABLE_WRITES_PER_SECOND, rate(measured.ours).p50, '/s', '60,000/s'),
            atLeast(SHARE_OF_HAND_MADE, share.p50, '×', `${SHARE_OF_HAND_MADE} × a batch made by hand`),
          ],
        },
      ]
    }),
}
