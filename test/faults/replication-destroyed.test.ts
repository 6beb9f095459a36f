/** The disk goes while a store writes: what was shipped is restored, and the loss is bounded by `everySeconds`. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { restored } from '../replication/support/replicas.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { shows } from './shown.ts'

const DISKS = bound('REPLICATION_DISKS', { short: 1, long: 50 })
const RATE = bound('REPLICATION_RATE', { short: 1_000, long: 1_000 })
const EVERY_SECONDS = 1
const WRITER = join(import.meta.dirname, 'replication-disk-writer.ts')

interface Told {
  readonly last: number
  /** Everything up to `last` was acknowledged before this moment, in milliseconds. */
  readonly at: number
  readonly upTo: number | undefined
}

interface Destroyed {
  readonly told: readonly Told[]
  readonly destroyedAt: number
  /** The last number in the restored database, and how many numbers it has. */
  readonly restored: { readonly last: number; readonly count: number }
}

/** Kills a writer after so many milliseconds and deletes its folder, then restores from the place. */
async function destroyed(afterMs: number, everySeconds: number): Promise<Destroyed> {
  using folder = temporaryFolder()
  const disk = folder.file('disk')
  const to = folder.file('replica')
  mkdirSync(disk)
  const args = [join(disk, 'mesh.db'), to, String(everySeconds), String(RATE)]
  const child = fork(WRITER, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await once(child, 'message')
  const told: Told[] = []
  child.on('message', (each: Told) => told.push(each))
  const until = Date.now() + afterMs
  while (Date.now() < until || told.length < 3) await once(child, 'message')
  child.kill('SIGKILL')
  const destroyedAt = Date.now()
  await once(child, 'exit')
  rmSync(disk, { recursive: true })
  const { content, problem } = await restored(to)
  expect(problem).toBeUndefined()
  const numbers = content.nodes.filter(({ nodeId }) => nodeId !== 'first').map((each) => each.routesDiscovered)
  return { told, destroyedAt, restored: { last: Math.max(-1, ...numbers), count: numbers.length } }
}

/** For so many milliseconds before the end, acknowledged writes are lost. */
const lostMs = ({ told, destroyedAt, restored: { last } }: Destroyed): number => {
  const first = told.find((each) => each.last > last)
  return first === undefined ? 0 : destroyedAt - first.at
}

test(
  `${DISKS} disks are destroyed at ${RATE} writes a second`,
  async () => {
    const losses: number[] = []
    for (let disk = 0; disk < DISKS; disk++) {
      const found = await destroyed(1_200 + ((disk * 377) % 2_000), EVERY_SECONDS)
      const { told, restored: there } = found
      // Commits are whole turns in their order: nothing is missing before the last one that is there.
      expect(there.count).toBe(there.last + 1)
      const upTo = Math.max(...told.map((each) => each.upTo ?? 0))
      for (const { last, at } of told) if (at < upTo) expect(there.last).toBeGreaterThanOrEqual(last)
      losses.push(lostMs(found))
    }
    const most = Math.max(...losses)
    const late = losses.filter((loss) => loss > EVERY_SECONDS * 1_000 + 500).length
    shows(
      `${DISKS} disks destroyed at ${RATE} writes/s: the last ${Math.round(most)} ms lost at most, ${late} above everySeconds + 0.5 s`,
    )
  },
  DISKS * 120_000,
)

test('control: what was not shipped is lost', async () => {
  const { told, restored: there } = await destroyed(500, 3_600)
  expect(there).toEqual({ last: -1, count: 0 })
  expect(told.length).toBeGreaterThan(0)
})
