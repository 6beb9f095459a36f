/**
 * A thousand writes a second, with backups, sweeps and readers beside them, for as long as it is told: memory, handles, the log
 * and the file stay what they are, and nothing is lost.
 */
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { Script } from '../sqlite/support/script.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { shows } from './shown.ts'
import { NODES, type Orders, type Sample, type Saw } from './soak-program.ts'

const SECONDS = bound('SOAK_SECONDS', { short: 60, long: 7_200 })
/** Enough for a leak of every kind to be seen, if the machine has time for a sample each second. */
const CONTROL_SECONDS = 16
const LEAST_SAMPLES = 8
/** A busy machine takes fewer samples: then it goes on for twice as long, and again. */
const CONTROL_ROUNDS = 4
const RATE = 1_000

const script = await Script.bundle(new URL('soak-program.ts', import.meta.url))

/** The growth that is allowed, whatever the size. */
const SLACK = { heapBytes: 4_000_000, handles: 3, walBytes: 2_000_000, fileBytes: 2_000_000 } as const
type Measure = keyof typeof SLACK

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/** Figures that are a quarter larger at the end than in the second quarter, when all had been begun. */
function growing(samples: readonly Sample[]): string[] {
  const quarter = Math.floor(samples.length / 4)
  return (Object.keys(SLACK) as Measure[]).flatMap((measure) => {
    const of = (from: number): number => median(samples.slice(from, from + quarter).map((sample) => sample[measure]))
    const [before, after] = [of(quarter), of(samples.length - quarter)]
    return after > before * 1.25 + SLACK[measure] ? [`${measure}: ${before}, and then ${after}`] : []
  })
}

interface Soaked {
  readonly samples: Sample[]
  readonly saw: Saw
  readonly wrong: string[]
}

async function soak(seconds: number, leaks: boolean): Promise<Soaked> {
  using folder = temporaryFolder()
  const path = folder.file('data', 'mesh.db')
  await using program = script.start([], { nodeOptions: ['--expose-gc'] })
  program.send({ path, backups: folder.file('backups'), writes: seconds * RATE, rate: RATE, leaks } satisfies Orders)
  const samples: Sample[] = []
  let saw: Saw | undefined
  while (saw === undefined) {
    const { sample, end } = await program.answer<{ sample?: Sample; end?: Saw }>()
    if (sample !== undefined) samples.push(sample)
    saw = end
  }
  // It has not closed the store.
  await program.kill()
  const wrong: string[] = []
  await using store = await openStorage(path)
  const versions = new Map<string, number>()
  for await (const { nodeId, routesDiscovered } of store.nodes.iterate()) versions.set(nodeId, routesDiscovered)
  for (const [id, version] of saw.acknowledged)
    if (versions.get(id) !== version) wrong.push(`${id} is ${versions.get(id)} in place of ${version}`)
  if (versions.size !== NODES) wrong.push(`there are ${versions.size} nodes`)
  return { samples, saw, wrong }
}

test(`${SECONDS} seconds at ${RATE} writes a second`, { timeout: 600_000 + SECONDS * 4_000 }, async () => {
  const { samples, saw, wrong } = await soak(SECONDS, false)
  const most = (measure: Measure): number => Math.max(...samples.map((sample) => sample[measure]))
  const megabytes = (bytes: number): string => `${(bytes / 1_000_000).toFixed(1)} MB`
  const figures = `${saw.writes} writes, ${saw.backups} backups, ${saw.swept} paths swept, ${saw.reads} reads; at most ${megabytes(most('heapBytes'))} of heap, ${most('handles')} handles, ${megabytes(most('walBytes'))} of log`
  console.log(`soak: ${figures}; resident at most ${megabytes(Math.max(...samples.map(({ rssBytes }) => rssBytes)))}`)
  expect(wrong).toEqual([])
  expect(saw.problems).toEqual([])
  expect(growing(samples)).toEqual([])
  expect(saw.writes).toBe(SECONDS * RATE)
  // Each second, if the machine has time for it; fewer would show no growth.
  expect(samples.length).toBeGreaterThanOrEqual(LEAST_SAMPLES)
  expect(Math.min(saw.backups, saw.swept, saw.reads)).toBeGreaterThan(0)
  shows(`${SECONDS} s: ${figures}; nothing lost, nothing grows`)
})

test('the same test finds memory, handles and files that grow', { timeout: 1_800_000 }, async () => {
  let found: string[] = []
  for (let round = 0; round < CONTROL_ROUNDS && found.length < 3; round++) {
    const { samples } = await soak(CONTROL_SECONDS * 2 ** round, true)
    found = growing(samples).map((each) => each.split(':')[0] ?? '')
  }
  expect(found).toEqual(['heapBytes', 'handles', 'fileBytes'])
})
