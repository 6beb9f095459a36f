/** Subscribers that wait share one poll, which becomes rare while nothing changes. */
import { afterEach, describe, expect, test, vi } from 'vitest'
import { LogPoller } from '../../src/changes/poller.ts'
import { CommitSignal } from '../../src/database/commit-signal.ts'
import { PostgresChangeLog } from '../../src/database/postgres/change-log.ts'
import type { ChangeLog, Database } from '../../src/database/session.ts'
import { SqliteChangeLog } from '../../src/database/sqlite/change-log.ts'
import { lastingBackends } from '../support/backends.ts'

const SUBSCRIBERS = 20
const LOGS = { sqlite: SqliteChangeLog, postgresql: PostgresChangeLog }
const node = { interfaces: [], protocols: [] }

afterEach(() => {
  vi.restoreAllMocks()
})

describe.each(lastingBackends)('waiting for changes on $name', (backend) => {
  test('twenty idle subscribers ask once every 250 ms, and nobody asks without them', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const log = LOGS[store.dialect].prototype
    const news = vi.spyOn(log, 'news')
    const reads = vi.spyOn(log, 'read')
    const streams = Array.from({ length: SUBSCRIBERS }, () => store.changes())
    const first = streams.map((stream) => stream.next())
    await Promise.all(streams.map((stream) => stream.ready()))

    const askedAt: number[] = []
    await vi.waitUntil(() => news.mock.calls.at(-1)?.[0].length === SUBSCRIBERS, { timeout: 60_000 })
    await vi.waitUntil(
      () => {
        if (news.mock.calls.length > askedAt.length) askedAt.push(performance.now())
        return askedAt.length >= 8
      },
      { timeout: 60_000, interval: 1 },
    )
    reads.mockClear()
    const [from, to] = askedAt.slice(-2)
    // A timer may be late; it is never early by more than its resolution.
    expect((to ?? 0) - (from ?? 0)).toBeGreaterThan(200)
    const asked = news.mock.calls.length
    await vi.waitUntil(() => news.mock.calls.length >= asked + 2, { timeout: 60_000 })
    expect(reads).not.toHaveBeenCalled()

    await store.nodes.create({ nodeId: 'a', ...node })
    const changes = await Promise.all(first)
    expect(changes.map(({ value }) => value?.key)).toEqual(Array.from({ length: SUBSCRIBERS }, () => 'a'))

    await Promise.all(streams.map((stream) => stream.return()))
    await vi.waitUntil(() => news.mock.results.every(({ type }) => type !== 'incomplete'))
    news.mockClear()
    await store.nodes.create({ nodeId: 'b', ...node })
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(news).not.toHaveBeenCalled()
  })
})

test('a commit of the store ends the pause between two polls', async () => {
  const commits = new CommitSignal()
  const news = vi.fn(async (positions: readonly unknown[]) => positions.map(() => false))
  const changeLog = { news } as unknown as ChangeLog
  const poller = new LogPoller({ commits, changeLog, settled: async () => {} } as unknown as Database)
  const ended = new AbortController()
  const waiting = poller.wait(changeLog, { log: '', position: '' }, { until: Number.MAX_VALUE, signal: ended.signal })
  let woken = 0
  for (let round = 0; round < 20 && woken === 0; round++) {
    // Longer than the least pause; on a slow machine a poll may fall between.
    await new Promise((resolve) => setTimeout(resolve, 40))
    news.mockClear()
    commits.tell()
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    woken += news.mock.calls.length
  }
  expect(woken).toBe(1)
  ended.abort()
  await waiting
})
