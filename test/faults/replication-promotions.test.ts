/** Standbys are promoted while the primary writes: nothing is lost that was shipped, and the old primary is fenced. */
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { Follower } from '../../src/replication/follow.ts'
import { placeOf } from '../../src/replication/open-place.ts'
import { contentOf, restored } from '../replication/support/replicas.ts'
import { lastingBackends } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { small } from '../support/small-disk.ts'

const PROMOTIONS = bound('REPLICATION_PROMOTIONS', { short: 3, long: 20 })
const WRITES = 200
/** How long a place stays full. */
const FULL_MS = bound('REPLICATION_FULL_MS', { short: 100, long: 60_000 })

for (const backend of lastingBackends) {
  describe(`a replica of ${backend.name}`, () => {
    test(
      `of which a standby is promoted under load, ${PROMOTIONS} times`,
      async () => {
        let compared = 0
        for (let promotion = 0; promotion < PROMOTIONS; promotion++) {
          using folder = temporaryFolder()
          const to = folder.file('replica')
          const url = folder.file('standby.db')
          await using opened = await backend.open({ busyTimeoutMs: 60_000, replicate: { to, everySeconds: 0.02 } })
          const { store } = opened
          await store.flushReplica()
          const acknowledged: { id: string; at: number }[] = []
          let isOver = false
          const writing = (async () => {
            for (let turn = 0; !isOver; turn++) {
              await store.nodes.save(node(`n${turn}`))
              acknowledged.push({ id: `n${turn}`, at: Date.now() })
            }
          })()
          const follower = await Follower.open(placeOf(to), url)
          const following = (async () => {
            while (acknowledged.length < WRITES + 30 * promotion) {
              await follower.step()
              await new Promise((done) => setTimeout(done, 1))
            }
          })()
          await following
          await follower.promote()
          await follower.close()
          const isFenced = async () => (await store.health()).replication?.problem?.code === 'MOVED'
          while (!(await isFenced())) await new Promise((done) => setTimeout(done, 5))
          isOver = true
          await writing
          const upTo = (await store.health()).replication?.upTo?.getTime() ?? 0
          await using standby = await openStorage({ url, replicate: { to, everySeconds: 3_600 } })
          const ids = new Set((await contentOf(standby)).nodes.map(({ nodeId }) => nodeId))
          for (const { id, at } of acknowledged) {
            if (at >= upTo) continue
            expect(ids.has(id), `${id}, acknowledged ${upTo - at} ms before the last shipped moment`).toBe(true)
            compared++
          }
          // The new primary goes on in the place, and nothing of the old one's later writes is there.
          await standby.nodes.save(node('new'))
          await standby.flushReplica()
          expect((await restored(to)).content).toEqual(await contentOf(standby))
        }
        expect(compared).toBeGreaterThan(PROMOTIONS)
      },
      PROMOTIONS * 300_000,
    )
  })

  test(`a full place refuses no write of ${backend.name}, and is caught up with`, async () => {
    using disk = small()
    if (disk === undefined) return
    const to = disk.folder.file('replica')
    await using opened = await backend.open({ replicate: { to, everySeconds: 0.02 } })
    const { store } = opened
    await store.flushReplica()
    disk.leave(8_192)
    let turn = 0
    const problem = async () => (await store.health()).replication?.problem?.code
    const emptyAt = performance.now() + FULL_MS
    for (; (await problem()) !== 'STORAGE_FULL' || turn < 300 || performance.now() < emptyAt; turn++)
      await store.policies.save({ policyId: `p${turn}`, yamlContent: `# ${crypto.randomUUID().repeat(20)}\n` })
    disk.leave(30_000_000)
    await store.flushReplica()
    expect(await problem()).toBeUndefined()
    const { content, problem: lost } = await restored(to)
    expect(lost).toBeUndefined()
    expect(content).toEqual(await contentOf(store))
  })
}
