/** `meshstore move`, to which the disk is full from one of its calls on: what has not happened is gone on with. */
import { dirname } from 'node:path'
import { expect, test, vi } from 'vitest'
import { hasStrace, type Point, pointsOf, runWith } from '../../faults/io-calls.ts'
import { notTested } from '../../faults/shown.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { bound } from '../../support/bounds.ts'
import { judged, place } from './support/arena.ts'
import { Commands } from './support/commands.ts'

// Whatever takes longer hangs.
vi.setConfig({ testTimeout: 3_600_000 })

/** Every n-th of the calls that write to the file, or sync it. */
const EVERY = bound('MOVE_CALLS_EVERY', { brief: 24, short: 4, long: 1 })
/** Node wakes itself up by writes of its own. */
const NODES_OWN = /^writev?$/

const runs = hasStrace()
if (!runs) notTested('a disk that is full at each call of a move', 'There is no strace here.')

/** A run that is not killed, with room on the disk. */
async function callsOfMove(): Promise<Point[]> {
  await using where = await place()
  const { path, database } = where
  return pointsOf(dirname(path), new Commands(path, database.url).line()).filter(({ call }) => !NODES_OWN.test(call))
}

describePostgres('a move by the command', () => {
  test.runIf(runs)('that finds no room at one of its calls says so, and goes on when there is', async () => {
    const calls = await callsOfMove()
    const taken = calls.filter((_, index) => index % EVERY === 0)
    const found: Record<string, number> = {}
    let fired = 0
    for (const point of taken) {
      await using where = await place()
      const commands = new Commands(where.path, where.database.url)
      const ran = await runWith({ error: 'ENOSPC', lasting: true }, point, dirname(where.path), commands.line())
      if (ran.fired) fired++
      const said = /^[A-Z_]+(?=: )/m.exec(ran.stderr)?.[0]
      const [at, state] = [`${point.call} ${point.number}`, await commands.state()]
      const outcome = `${ran.code === 0 ? 'done' : said}, ${state}`
      found[outcome] = (found[outcome] ?? 0) + 1
      // A commit that could not be synced may be found there all the same: that is unknown, and then known.
      if (ran.code === 0) expect(state, at).toBe('moved')
      else if (state === 'moved') expect(said, at).toBe('OUTCOME_UNKNOWN')
      else expect(said, at).toBeOneOf(['STORAGE_FULL', 'OUTCOME_UNKNOWN', 'UNAVAILABLE'])
      const { code, stdout } = await commands.run('--yes', ...(state === 'none' ? [] : ['--resume']))
      expect(code, `${at}: ${stdout}`).toBe(0)
      const { hashes, lost, duplicated } = await judged(where, [])
      expect({ lost, duplicated }, at).toEqual({ lost: [], duplicated: [] })
      expect(hashes.target, at).toBe(hashes.file)
    }
    console.log(`full at ${taken.length} of ${calls.length} calls of a move: ${JSON.stringify(found)}`)
    expect(fired).toBeGreaterThan(taken.length / 2)
  })
})
