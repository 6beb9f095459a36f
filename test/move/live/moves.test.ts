/**
 * Moves under load, from three processes: nothing that was acknowledged is lost or there twice, no promise is rejected, and at the
 * switch both sides are the same by a hash of the test's own.
 */
import { expect, test } from 'vitest'
import { shows } from '../../faults/shown.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { Script } from '../../sqlite/support/script.ts'
import { bound, SEED } from '../../support/bounds.ts'
import { Arena, judged, place } from './support/arena.ts'

const MOVES = bound('MOVES', { brief: 3, short: 10, long: 50 })
const serving = await Script.bundle(new URL('programs/serving.ts', import.meta.url))

function spread(milliseconds: number[]): string {
  const sorted = milliseconds.toSorted((a, b) => a - b)
  const at = (part: number): string => (sorted[Math.ceil(part * sorted.length) - 1] ?? 0).toFixed(0)
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} ms`
}

describePostgres(`${MOVES} moves under load`, () => {
  test('lose nothing, add nothing, and fail nobody', { timeout: 600_000 + MOVES * 30_000 }, async () => {
    await using arena = await Arena.open(serving)
    const longest: number[] = []
    const across: number[] = []
    const total = { writes: 0, reads: 0, transactions: 0, rejected: 0, lost: 0, duplicated: 0, stale: 0, differing: 0 }
    for (let move = 0; move < MOVES; move++) {
      await using where = await place()
      const perSecond = 500 + ((move * 83) % 501)
      const { report, journals, dialects, seconds } = await arena.move(where, { seed: SEED + 10 * move, perSecond })
      const verdict = await judged(where, journals)
      expect(dialects).toEqual(['postgresql', 'postgresql', 'postgresql'])
      const slowest = journals.map((journal) => journal.longest).reduce((a, b) => (a.ms > b.ms ? a : b))
      longest.push(slowest.ms)
      across.push(Math.max(...journals.map(({ acrossMs }) => acrossMs)))
      const written = journals.reduce((sum, { writes }) => sum + writes, 0)
      for (const { writes, reads, transactions } of journals) {
        total.writes += writes
        total.reads += reads
        total.transactions += transactions
      }
      total.rejected += verdict.rejected.length
      total.lost += verdict.lost.length
      total.duplicated += verdict.duplicated.length
      total.stale += verdict.stale.length
      if (verdict.hashes.file !== verdict.hashes.target) total.differing++
      console.log(
        `move ${move + 1}: ${journals.map(({ writes }) => writes).join(' + ')} writes, ${(written / seconds).toFixed(0)}/s of ${perSecond} wanted; ` +
          `longest ${slowest.ms.toFixed(0)} ms (${slowest.what}), pause ${report.pauseMs.toFixed(1)} ms, ${report.attempts} attempts, ${report.followed} followed`,
      )
      for (const problem of ['rejected', 'lost', 'duplicated', 'stale'] as const)
        if (verdict[problem].length > 0) console.log(problem, verdict[problem].slice(0, 10))
      expect(report.followed).toBeGreaterThan(0)
      for (const { writes } of journals) expect(writes).toBeGreaterThan(50)
    }
    const waited = `the callers' longest write: ${spread(longest)}; waiting for the switch: ${spread(across)}`
    console.log(`SEED=${SEED}, ${MOVES} moves: ${JSON.stringify(total)}\n${waited}`)
    shows(
      `${MOVES} moves, ${total.writes} writes: none lost, none twice, no promise rejected, contents equal; ${waited}`,
    )
    expect(total).toMatchObject({ rejected: 0, lost: 0, duplicated: 0, stale: 0, differing: 0 })
  })
})
