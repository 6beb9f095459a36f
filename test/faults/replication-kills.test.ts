/** A writer that ships and a follower are killed: every restored moment is one of the model, and nothing that was shipped is lost. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { Follower } from '../../src/replication/follow.ts'
import { placeOf } from '../../src/replication/open-place.ts'
import { verifyPlace } from '../../src/replication/verify.ts'
import { contentOf, objectsIn, restored } from '../replication/support/replicas.ts'
import { lastingBackends } from '../support/backends.ts'
import { bound, SEED } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { COUNTER, Model } from './replication-model.ts'

const KILLS = bound('REPLICATION_KILLS', { short: 6, long: 200 })
const MOMENTS = bound('REPLICATION_MOMENTS', { short: 8, long: 100 })
const UNITS_BETWEEN = 120
/** For each kill, and as much for each moment. */
const HANGING_MS = 60_000

const WRITER = join(import.meta.dirname, 'replication-writer.ts')

/** Kills the writer after so many units. Returns the last that it acknowledged. */
async function killedAfter(child: ChildProcess, units: number): Promise<number> {
  let last = -1
  let seen = 0
  await new Promise<void>((resolve, reject) => {
    child.on('message', (unit) => {
      last = Number(unit)
      if (++seen === units) resolve()
    })
    child.once('exit', (code) => reject(new Error(`The writer ended with ${code}.`)))
  })
  child.removeAllListeners('exit')
  child.kill('SIGKILL')
  await once(child, 'exit')
  return last
}

type Content = Awaited<ReturnType<typeof contentOf>>

/** The number of the last unit of a content, which has to be what the model is after it. */
function unitIn({ nodes, policies }: Content, model: Model): number {
  const counter = nodes.find(({ nodeId }) => nodeId === COUNTER)
  if (counter === undefined) return -1
  model.goOnTo(counter.routesDiscovered)
  const byId = (a: readonly unknown[], b: readonly unknown[]): number => (String(a[0]) < String(b[0]) ? -1 : 1)
  expect(nodes.map((each) => [each.nodeId, each.routesDiscovered]).sort(byId)).toEqual([...model.nodes].sort(byId))
  expect(policies.map((each) => [each?.policyId, each?.yamlContent]).sort(byId)).toEqual([...model.policies].sort(byId))
  return counter.routesDiscovered
}

for (const backend of lastingBackends) {
  describe(`a replica of ${backend.name}`, () => {
    test(
      `of a writer that is killed ${KILLS} times`,
      async () => {
        console.log(`SEED=${SEED}`)
        using folder = temporaryFolder()
        const to = folder.file('replica')
        const standbyUrl = folder.file('standby.db')
        await using opened = await backend.open()
        let acknowledged = -1
        for (let kill = 0; kill < KILLS; kill++) {
          const child = fork(WRITER, [opened.url, to, String(SEED)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
          acknowledged = Math.max(acknowledged, await killedAfter(child, 1 + ((kill * 37) % UNITS_BETWEEN)))
        }
        const store = await opened.reopen({ replicate: { to, everySeconds: 3_600 } })
        await store.flushReplica()
        const newest = await restored(to)
        expect(newest.problem).toBeUndefined()
        expect(newest.content).toEqual(await contentOf(store))
        expect(unitIn(newest.content, new Model(SEED))).toBeGreaterThanOrEqual(acknowledged)

        const segments = objectsIn(to).filter((name) => name.endsWith('.segment'))
        expect(segments.length).toBeGreaterThan(KILLS)
        const model = new Model(SEED)
        let before = -1
        for (let moment = 0; moment < MOMENTS; moment++) {
          const name = segments[Math.floor((moment * segments.length) / MOMENTS)] ?? ''
          const at = `${name.slice(0, 7)}/${Number(name.slice(8, 18))}`
          const there = await restored(to, at).catch((error) => {
            // A writer that was killed in its generation's first moments left no base.
            if (error.code === 'CONFIG') return undefined
            throw error
          })
          if (there === undefined) continue
          const unit = unitIn(there.content, model)
          expect(unit).toBeGreaterThanOrEqual(before)
          before = unit
        }
        expect((await verifyPlace(placeOf(to))).problems).toEqual([])

        const follower = await Follower.open(placeOf(to), standbyUrl)
        await follower.catchUp()
        await follower.close()
        await using standby = await openStorage(standbyUrl)
        expect(await contentOf(standby)).toEqual(await contentOf(store))
      },
      (KILLS + MOMENTS) * HANGING_MS,
    )
  })
}
