/** The brief form of test/faults/kill.test.ts, with the same negative control. */
import { expect, test } from 'vitest'
import { acknowledgeEarly, planted } from '../faults/acknowledge-early.ts'
import { killInLoop, survives, Writers } from '../faults/kill-loop.ts'
import { Script } from './support/script.ts'

const WRITER = new URL('../faults/writer.ts', import.meta.url)
const writer = await Script.bundle(WRITER)
const hastyWriter = await Script.bundle(WRITER, acknowledgeEarly)

test('whatever was acknowledged survives kill -9, and nothing is there by half', async () => {
  await survives(writer, { cycles: 6, seed: 1 })
})

test('the same test finds a queue that acknowledges before it commits', async () => {
  await using writers = new Writers(hastyWriter)
  expect(planted.count).toBe(1)
  const { lost } = await killInLoop({ cycles: 20, seed: 1, writers, until: (figures) => figures.lost > 0 })
  expect(lost).toBeGreaterThan(0)
})
