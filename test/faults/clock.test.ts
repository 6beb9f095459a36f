/**
 * The clock jumps back and forth by a day while the cache runs: nothing is served that has expired by the clock of the moment,
 * nothing else disappears, and what takes time takes as long as it always does.
 */
import { expect, test, vi } from 'vitest'
import { type Meshstore, openStorage, type PathKey, StorageError } from '../../src/index.ts'
import { ModelPathCache } from '../property/model/path-cache.ts'
import { lastingBackends } from '../support/backends.ts'
import { bound, SEED } from '../support/bounds.ts'
import { Clock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, node } from '../support/samples.ts'
import { integerFrom, randomFrom } from './random.ts'
import { shows } from './shown.ts'

const JUMPS = bound('CLOCK_JUMPS', { short: 400, long: 20_000 })
const TIMEOUT = { timeout: 600_000 + JUMPS * 100 }
const DAY_MS = 86_400_000
const STEPS_PER_JUMP = 8

/** A model that forgets to look at the clock: the comparison must find it. */
class Timeless extends ModelPathCache {
  constructor() {
    const never = new Date(0)
    super(() => never)
  }
}

type Both = (cache: ModelPathCache | Awaited<ReturnType<typeof openStorage>>['pathCache']) => Promise<unknown>

function stepFrom(random: () => number): Both {
  const key: PathKey = { source: 'a', destination: `b${integerFrom(random, 0, 11)}`, k: 3 }
  const value = bundle(key.source, key.destination, integerFrom(random, 1, 1_000))
  const ttlSeconds = [0.5, 30, 3_600, 86_399, 86_400, 86_401, 200_000][integerFrom(random, 0, 6)]
  const choice = random()
  if (choice < 0.3) return (cache) => cache.set(key, value, { ttlSeconds })
  if (choice < 0.5) return (cache) => cache.get(key)
  if (choice < 0.65) return (cache) => cache.resolve(key, () => value, { ttlSeconds })
  if (choice < 0.75) return (cache) => cache.getEntry(key)
  if (choice < 0.85) return (cache) => cache.count()
  if (choice < 0.92) return (cache) => cache.list()
  return (cache) => cache.deleteExpired()
}

async function firstDifference(
  cache: Parameters<Both>[0],
  model: ModelPathCache,
  clock: Clock,
): Promise<{ jumps: number; difference: string | undefined }> {
  const random = randomFrom(SEED)
  for (let jump = 0; jump < JUMPS; jump++) {
    for (let step = 0; step < STEPS_PER_JUMP; step++) {
      const both = stepFrom(random)
      const [found, expected] = [await both(cache), await both(model)]
      if (JSON.stringify(found) !== JSON.stringify(expected))
        return { jumps: jump, difference: `${both}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}` }
      clock.advance(integerFrom(random, 0, 2_000))
    }
    clock.advance((random() < 0.5 ? 1 : -1) * (DAY_MS + integerFrom(random, -1_000, 1_000)))
  }
  return { jumps: JUMPS, difference: undefined }
}

test.each(lastingBackends)('$name: the cache does what the model does', TIMEOUT, async (backend) => {
  const clock = new Clock()
  // Sweeping is told of, and changes what it returns: none comes by itself.
  await using opened = await backend.open({ now: clock.now, pathCache: { sweepSeconds: 3_600 } })
  console.log(`clock, ${backend.name}, SEED=${SEED}`)
  const { difference } = await firstDifference(opened.store.pathCache, new ModelPathCache(clock.now), clock)
  expect(difference).toBeUndefined()
})

test.each(lastingBackends)('$name: the same test finds a cache that does not look at it', TIMEOUT, async (backend) => {
  const clock = new Clock()
  await using opened = await backend.open({ now: clock.now, pathCache: { sweepSeconds: 3_600 } })
  expect((await firstDifference(opened.store.pathCache, new Timeless(), clock)).difference).toBeDefined()
})

/** The faults of a limit of 20 ms, during which the clock jumps: it must end neither at once nor in a day. */
async function limited(store: Meshstore, days: number, longestMs = 60_000): Promise<string[]> {
  const begun = performance.now()
  const waiting = store.transaction(
    async () => {
      vi.setSystemTime(Date.now() + days * DAY_MS)
      await new Promise((resolve) => setTimeout(resolve, longestMs).unref())
    },
    { timeoutMs: 20 },
  )
  const code = await waiting.then(
    () => 'done',
    (error: unknown) => (error instanceof StorageError ? error.code : String(error)),
  )
  const milliseconds = performance.now() - begun
  if (code !== 'TIMEOUT') return [`it came to ${code}`]
  return milliseconds < 19 ? ['it was over at once'] : []
}

/** Takes the time of day for one that goes by. */
function timedByTheDay(store: Meshstore): Meshstore {
  const transaction: Meshstore['transaction'] = (work, { timeoutMs = 0 } = {}) => {
    const until = Date.now() + timeoutMs
    return new Promise((resolve, reject) => {
      const timer = setInterval(() => {
        if (Date.now() >= until) reject(new StorageError('TIMEOUT', 'It took too long.'))
      }, 1)
      store
        .transaction(work)
        .then(resolve, reject)
        .finally(() => clearInterval(timer))
    })
  }
  return new Proxy(store, { get: (_, name) => (name === 'transaction' ? transaction : Reflect.get(store, name)) })
}

test.each([
  [1, 'it was over at once'],
  [-1, 'it came to done'],
])('the same test finds a limit that goes by the time of day: %i days', async (days, problem) => {
  vi.useFakeTimers({ toFake: ['Date'] })
  try {
    await using store = await openStorage('sqlite::memory:')
    expect(await limited(store, days, 500)).toEqual([])
    expect(await limited(timedByTheDay(store), days, 500)).toEqual([problem])
  } finally {
    vi.useRealTimers()
  }
})

test("the machine's own clock: limits, locks, sweeps and backups go on as if it stood still", TIMEOUT, async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  // The time of day alone: timers go on by a clock that nobody sets.
  vi.useFakeTimers({ toFake: ['Date'] })
  const today = Date.now()
  try {
    await using store = await openStorage({
      url: path,
      busyTimeoutMs: 200,
      pathCache: { sweepSeconds: 1 },
      backups: { folder: folder.file('backups'), everySeconds: 3_600 },
    })
    const random = randomFrom(SEED)
    let written = 0
    for (let jump = 0; jump < 40; jump++) {
      vi.setSystemTime(today + (jump % 2 === 0 ? DAY_MS : -DAY_MS))
      await Promise.all(Array.from({ length: 25 }, () => store.nodes.create(node(`n-${written++}`))))
      await store.transaction(async (tx) => void (await tx.nodes.recordRoutes('n-0')))
      expect(await limited(store, random() < 0.5 ? 2 : -2)).toEqual([])
      await store.pathCache.set({ source: 'a', destination: 'b', k: 1 }, bundle('a', 'b'), { ttlSeconds: 60 })
      expect(await store.pathCache.get({ source: 'a', destination: 'b', k: 1 })).toBeDefined()
      await store.pathCache.sweep()
    }
    expect(await store.nodes.count()).toBe(written)
    expect((await store.nodes.get('n-0'))?.routesDiscovered).toBe(40)
    expect((await store.health()).problems).toEqual([])
    await store.backup(folder.file('mesh.backup'))
  } finally {
    vi.useRealTimers()
  }
  shows(`${JUMPS} jumps by a day on each dialect: the cache does what its model does; 40 of the machine's own clock`)
})
