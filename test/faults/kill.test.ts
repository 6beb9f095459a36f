/**
 * `kill -9` while many writes are in flight, again and again, on the same file, with backups and sweeps beside them; and while
 * the file is opened, made anew or brought up to date. Whatever was acknowledged must be there, what was in flight must be
 * there or not, as a whole.
 */
import { expect, test } from 'vitest'
import { Script } from '../sqlite/support/script.ts'
import { bound, SEED } from '../support/bounds.ts'
import { acknowledgeEarly, planted } from './acknowledge-early.ts'
import { killInLoop, survives, Writers } from './kill-loop.ts'
import { shows } from './shown.ts'
import { emptyLogUnsynced } from './unsynced.ts'

const CYCLES = bound('KILL_CYCLES', { short: 120, long: 2_000 })
const UNSYNCED = bound('UNSYNCED_KILLS', { short: 6, long: 200 })
const TIMEOUT = { timeout: 600_000 + CYCLES * 5_000 }
const WRITER = new URL('writer.ts', import.meta.url)
const writer = await Script.bundle(WRITER)
const hastyWriter = await Script.bundle(WRITER, acknowledgeEarly)

test('whatever was acknowledged survives kill -9, and nothing is there by half', TIMEOUT, async () => {
  const figures = await survives(writer, { cycles: CYCLES, seed: SEED })
  expect(figures.acknowledged).toBeGreaterThan(CYCLES * 500)
  expect(figures.killedMigrating).toBeGreaterThan(0)
  expect(figures.backups).toBeGreaterThan(0)
  shows(
    `${figures.cycles} kills with writes in flight, ${figures.killedOpening + figures.killedMigrating} while it was opened or migrated: ${figures.acknowledged} acknowledged, ${figures.lost} lost, ${figures.wrong.length} by half; ${figures.backups} backups meanwhile`,
  )
})

test('another program that syncs nothing changes nothing about it', TIMEOUT, async () => {
  await using writers = new Writers(writer)
  let checkpoints = 0
  const beside = async (path: string): Promise<void> => {
    await emptyLogUnsynced(path)
    checkpoints++
  }
  const figures = await killInLoop({ cycles: UNSYNCED, seed: SEED, writers, beside, until: ({ lost }) => lost > 0 })
  expect(figures.wrong).toEqual([])
  expect(figures.lost).toBe(0)
  expect(figures.killed).toBe(UNSYNCED)
  expect(checkpoints).toBe(UNSYNCED)
})

test('the same test finds a queue that acknowledges before it commits', async () => {
  await using writers = new Writers(hastyWriter)
  expect(planted.count).toBe(1)
  const figures = await killInLoop({ cycles: 20, seed: SEED, writers, until: ({ lost }) => lost > 0 })
  expect(figures.killed).toBe(figures.cycles)
  expect(figures.lost).toBeGreaterThan(0)
})
