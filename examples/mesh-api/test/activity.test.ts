/** The samples behind the charts: what is counted, for how long, and in which second. */
import { openStorage } from 'meshstore'
import { expect, test } from 'vitest'
import { Activity } from '../src/activity.ts'
import { Durations } from '../src/durations.ts'

const node = (id: string) => ({ nodeId: id, interfaces: [], protocols: [] })
const paths = async ({ source, destination }: { source: string; destination: string }) => ({
  source,
  destination,
  primary: [],
})

test('counts calls, commits, waiting writes and hits in the second in which they happened', async () => {
  await using store = await openStorage({ url: 'sqlite::memory:', pathCache: { sweepSeconds: 3_600 } })
  let now = 1_000_500
  using activity = new Activity(store, () => now)
  await Promise.all(['a', 'b', 'c'].map((id) => store.nodes.create(node(id))))
  now = 1_001_500
  for (const _ of [1, 2, 3, 4])
    await store.pathCache.getOrCompute({ source: 'a', destination: 'b', k: 1 }, paths, { ttlSeconds: 60 })
  const [first, ...none] = activity.since(0)
  expect(none).toEqual([])
  expect(first).toMatchObject({ at: 1_000_000, hitRate: null })
  expect(first?.statements).toBeGreaterThanOrEqual(3)
  expect(first?.commits).toBeGreaterThanOrEqual(1)
  expect(first?.waitingWrites).toBeGreaterThanOrEqual(1)
  expect(Math.min(Number(first?.statementP99), Number(first?.commitP99))).toBeGreaterThan(0)
  now = 1_002_500
  const [second] = activity.since(1_000_000)
  expect(second).toMatchObject({ at: 1_001_000, hitRate: 0.75 })
  // To look asks for the length of the queue, which is no call.
  await store.nodes.get('a')
  now = 1_003_500
  expect(activity.since(1_001_000)).toMatchObject([{ at: 1_002_000, statements: 1, commits: 0, hitRate: 0.75 }])
  // Old requests leave percentiles and shares, and then everything.
  now = 1_013_500
  expect(activity.since(1_011_000)).toMatchObject([{ at: 1_012_000, statements: 0, hitRate: null, statementP99: null }])
  now = 1_400_500
  expect(activity.since(0)).toHaveLength(300)
  expect(activity.since(0).every(({ statements }) => statements === 0)).toBe(true)
})

test('counts nothing after its end', async () => {
  await using store = await openStorage('sqlite::memory:')
  let now = 1_000_500
  const activity = new Activity(store, () => now)
  activity[Symbol.dispose]()
  await store.nodes.create(node('a'))
  now = 1_001_500
  expect(activity.since(0)).toMatchObject([{ statements: 0, commits: 0 }])
})

test('percentiles are right to five hundredths', () => {
  const [fast, slow] = [new Durations(), new Durations()]
  for (let index = 0; index < 98; index++) fast.add(0.2)
  for (let index = 0; index < 2; index++) slow.add(40)
  for (const [share, expected] of [
    [0.5, 0.2],
    [0.98, 0.2],
    [0.99, 40],
  ] as const) {
    const found = Durations.percentile([fast, slow], share) ?? 0
    expect(Math.abs(found / expected - 1)).toBeLessThan(0.05)
  }
  expect(Durations.percentile([new Durations()], 0.99)).toBeNull()
})
