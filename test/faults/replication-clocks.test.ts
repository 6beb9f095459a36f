/** Clocks that are wrong, and clocks that jump: everything that was shipped is there, and no moment of 24 hours is deleted. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { FolderPlace } from '../../src/replication/folder.ts'
import { Follower } from '../../src/replication/follow.ts'
import { prune } from '../../src/replication/prune.ts'
import { verifyPlace } from '../../src/replication/verify.ts'
import { contentOf, restored, shipping } from '../replication/support/replicas.ts'
import { lastingBackends, sqliteFile } from '../support/backends.ts'
import { bound, SEED } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes, node } from '../support/samples.ts'
import { type Mistake, MistakenSource } from './cluster/mistaken-source.ts'
import { integerFrom, randomFrom } from './random.ts'
import { shows } from './shown.ts'

const JUMPS = bound('REPLICATION_CLOCK_JUMPS', { short: 12, long: 500 })
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

afterEach(() => void vi.useRealTimers())

/** The program whose clock is wrong, and by how much. */
const WRONG = [
  { title: 'the shipper is an hour ahead', shipper: HOUR_MS, follower: 0 },
  { title: 'the shipper is an hour behind', shipper: -HOUR_MS, follower: 0 },
  { title: 'the follower is an hour ahead', shipper: 0, follower: HOUR_MS },
  { title: 'the follower is an hour behind', shipper: 0, follower: -HOUR_MS },
]

type Shipping = Awaited<ReturnType<typeof shipping>>

for (const backend of lastingBackends) {
  describe(`a replica of ${backend.name}`, () => {
    for (const { title, shipper, follower } of WRONG)
      test(`is followed and promoted when the clock of ${title}`, async () => {
        vi.useFakeTimers({ toFake: ['Date'] })
        let now = Date.now()
        /** On the machine whose clock is off by so much. */
        const on = async <T>(offset: number, work: () => Promise<T>): Promise<T> => {
          now += 1_000
          vi.setSystemTime(now + offset)
          return work()
        }
        using folder = temporaryFolder()
        const place = new FolderPlace(folder.file('replica'))
        await using opened = await backend.open()
        const it = await on(shipper, () => shipping(opened.url, place))
        await using stack = new AsyncDisposableStack()
        stack.use(it)
        await on(shipper, () => it.store.nodes.saveMany(manyNodes(20)))
        await on(shipper, () => it.shipper.flush())
        const standby = await on(follower, () => Follower.open(place, folder.file('standby.db')))
        for (let turn = 0; turn < 5; turn++) {
          await on(shipper, () => it.store.nodes.save(node('n', { routesDiscovered: turn })))
          // Another process on the database prunes its log by the follower's clock.
          await on(follower, () => it.store.pathCache.sweep())
          await on(shipper, () => it.shipper.flush())
          expect(await on(follower, () => standby.catchUp())).toBeGreaterThan(0)
        }
        const { generation } = await on(follower, () => standby.promote())
        await on(follower, () => standby.close())
        expect(generation).toBe(2)
        expect((await restored(place.name)).content).toEqual(await contentOf(it.store))
        await on(shipper, () => it.store.nodes.save(node('too late')))
        await expect(on(shipper, () => it.shipper.flush())).rejects.toMatchObject({ code: 'MOVED' })
      })

    test(`is whole when its clock jumps ${JUMPS} times by up to an hour`, async () => {
      console.log(`SEED=${SEED}`)
      const random = randomFrom(SEED)
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open()
      let time = Date.parse('2026-01-01T12:00:00Z')
      await using it = await shipping(opened.url, new FolderPlace(to), {
        now: () => new Date(time),
        baseEverySegments: 5,
      })
      const contents: unknown[] = []
      for (let jump = 0; jump < JUMPS; jump++) {
        await it.store.nodes.save(node(`n${jump % 7}`, { routesDiscovered: jump }))
        await it.shipper.flush()
        contents.push(await contentOf(it.store))
        time += integerFrom(random, -HOUR_MS, HOUR_MS)
      }
      for (const moment of [0, Math.floor(JUMPS / 2), JUMPS - 1]) {
        const found = await restored(to, `g000001/${moment + 1}`)
        expect(found.problem).toBeUndefined()
        expect(found.content).toEqual(contents[moment])
      }
      expect((await verifyPlace(new FolderPlace(to))).problems).toEqual([])
    })

    test('begins a new generation when the log was pruned by a clock that jumped ahead by days, and misses nothing', async () => {
      vi.useFakeTimers({ toFake: ['Date'] })
      const now = Date.now()
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open()
      await using it = await shipping(opened.url, new FolderPlace(to))
      await it.store.nodes.saveMany(manyNodes(20))
      await it.shipper.flush()
      const before = await contentOf(it.store)
      await it.store.nodes.delete('n-0001')
      vi.setSystemTime(now + 5 * DAY_MS)
      await it.store.pathCache.sweep()
      await it.store.nodes.delete('n-0002')
      await it.shipper.flush()
      const { content, reached } = await restored(to)
      expect(reached.generation).toBe(2)
      expect(content).toEqual(await contentOf(it.store))
      expect((await restored(to, 'g000001/1')).content).toEqual(before)
    })
  })
}

/** Segments every ten minutes, and what the database holds at the end of each hour. */
class Hours {
  readonly to: string
  readonly contents = new Map<number, unknown>()
  time = Date.parse('2026-01-01T00:00:00Z')
  segment = 0

  constructor(to: string) {
    this.to = to
  }

  async goOn({ store, shipper }: Shipping, hours: number): Promise<void> {
    for (let step = 0; step < hours * 6; step++) {
      this.time += HOUR_MS / 6
      await store.nodes.save(node('n', { routesDiscovered: this.segment }))
      await shipper.flush()
      this.segment++
      if (step % 6 === 5) this.contents.set(this.segment, await contentOf(store))
    }
  }
}

/** Ships until the clock jumps, and two hours more. Prunes. Returns how many of 12 moments of the last 24 hours are gone. */
async function goneAfter({ days, isBack }: Jump, pruning: typeof prune): Promise<{ gone: number; pruned: number }> {
  using folder = temporaryFolder()
  const hours = new Hours(folder.file('replica'))
  const place = new FolderPlace(hours.to)
  await using opened = await sqliteFile.open()
  const options = { now: () => new Date(hours.time), baseEverySegments: 12 }
  await using it = await shipping(opened.url, place, options)
  await hours.goOn(it, 30)
  hours.time += days * DAY_MS
  await hours.goOn(it, 1)
  if (isBack) hours.time -= days * DAY_MS
  await hours.goOn(it, 1)
  const { segments } = await pruning(place, {}, new Date(hours.time))
  const ofDay = [...hours.contents].filter(([segment]) => segment > hours.segment - 24 * 6)
  expect(ofDay.length).toBe(24)
  let gone = 0
  for (const [segment, content] of ofDay.filter((_, hour) => hour % 2 === 0)) {
    const found = await restored(hours.to, `g000001/${segment}`).catch(() => undefined)
    if (found === undefined || found.problem !== undefined) gone++
    else expect(found.content).toEqual(content)
  }
  expect((await verifyPlace(place)).problems).toEqual([])
  return { gone, pruned: segments }
}

interface Jump {
  readonly title: string
  readonly days: number
  readonly isBack?: boolean
}

const JUMPS_BY_DAYS: readonly Jump[] = [
  { title: 'ahead by five days', days: 5 },
  { title: 'ahead by five days and back', days: 5, isBack: true },
  { title: 'back by five days', days: -5 },
]

describe('a clock that jumps', () => {
  for (const jump of JUMPS_BY_DAYS)
    test(`${jump.title} lets no moment of 24 hours be deleted`, async () => {
      const { gone, pruned } = await goneAfter(jump, prune)
      expect(gone).toBe(0)
      // Files that are old by the segments after them go all the same.
      if (jump.days > 0 && !jump.isBack) expect(pruned).toBeGreaterThan(0)
      shows(`a clock that jumps ${jump.title}: no moment of 24 hours gone, ${pruned} segments pruned`)
    })

  test('control: pruning by the clock alone deletes moments of 24 hours', async () => {
    using copy = new MistakenSource(BY_CLOCK_ALONE)
    const mistaken: { prune: typeof prune } = await import(`${copy.root}/src/replication/prune.ts`)
    expect((await goneAfter({ title: '', days: 5 }, mistaken.prune)).gone).toBeGreaterThan(5)
  })
})

const BY_CLOCK_ALONE: Mistake = [
  {
    file: 'src/replication/prune.ts',
    from: 'if ((await ages.of(base.manifest)) >= EVERY_MOMENT_MS + LONGEST_STEP_MS) return base',
    to: 'return base',
  },
]
