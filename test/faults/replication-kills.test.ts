/**
 * Writers and shippers are killed, in one process and in two: every restored moment is one of the model, and nothing that was shipped is
 * lost. `REPLICATION_KILLS=200` is the long form: half as many moments are restored.
 */
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
import { bundledOnce } from '../support/bundles.ts'
import { temporaryFolder } from '../support/folders.ts'
import { COUNTER, Model } from './replication-model.ts'
import { shows } from './shown.ts'

const KILLS = bound('REPLICATION_KILLS', { short: 4, long: 200 })
const MOMENTS = Math.max(8, KILLS / 2)
const UNITS_BETWEEN = 120
/** For each kill, and as much for each moment. */
const HANGING_MS = 60_000

/** Bundled: to start from the source took most of the time of a kill. */
const programs = await bundledOnce({
  writer: join(import.meta.dirname, 'replication-writer.ts'),
  shipper: join(import.meta.dirname, 'replication-shipper.ts'),
})
const WRITER = join(programs, 'writer.mjs')
const SHIPPER = join(programs, 'shipper.mjs')

const started = (program: string, args: readonly string[]): ChildProcess =>
  fork(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })

interface Round {
  readonly url: string
  readonly to: string
  /** Kills the writer after so many units … */
  readonly units: number
  /** … and before it, a shipper that is a process of its own. */
  readonly isApart: boolean
}

/** Returns the last unit that the writer acknowledged. */
async function killed({ url, to, units, isApart }: Round): Promise<number> {
  const shipper = isApart ? started(SHIPPER, [url, to]) : undefined
  if (shipper !== undefined) await messageOf(shipper)
  const writer = started(WRITER, [url, isApart ? '' : to, String(SEED)])
  let last = -1
  let seen = 0
  await new Promise<void>((resolve, reject) => {
    writer.on('message', (unit) => {
      last = Number(unit)
      if (++seen === Math.ceil(units / 2)) shipper?.kill('SIGKILL')
      if (seen === units) resolve()
    })
    writer.once('exit', (code) => reject(new Error(`The writer ended with ${code}.`)))
  })
  writer.removeAllListeners('exit')
  writer.kill('SIGKILL')
  const ended = [writer, shipper].flatMap((child) =>
    child?.exitCode === null && child.signalCode === null ? [once(child, 'exit')] : [],
  )
  await Promise.all(ended)
  return last
}

async function messageOf(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve())
    child.once('exit', (code) => reject(new Error(`The shipper ended with ${code}.`)))
  })
  child.removeAllListeners('exit')
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
      `of a writer and a shipper that are killed ${KILLS} times`,
      async () => {
        console.log(`SEED=${SEED}`)
        using folder = temporaryFolder()
        const to = folder.file('replica')
        const standbyUrl = folder.file('standby.db')
        await using opened = await backend.open()
        let acknowledged = -1
        for (let kill = 0; kill < KILLS; kill++) {
          const units = 1 + ((kill * 37) % UNITS_BETWEEN)
          acknowledged = Math.max(acknowledged, await killed({ url: opened.url, to, units, isApart: kill % 2 === 1 }))
        }
        const store = await opened.reopen({ replicate: { to, everySeconds: 3_600 } })
        await store.flushReplica()
        const newest = await restored(to)
        expect(newest.problem).toBeUndefined()
        expect(newest.content).toEqual(await contentOf(store))
        expect(unitIn(newest.content, new Model(SEED))).toBeGreaterThanOrEqual(acknowledged)

        const segments = objectsIn(to).filter((name) => name.endsWith('.segment'))
        expect(segments.length).toBeGreaterThan(KILLS / 2)
        const model = new Model(SEED)
        let before = -1
        let compared = 0
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
          compared++
        }
        // Few writers are killed before their generation has a base.
        expect(compared).toBeGreaterThan(MOMENTS / 2)
        expect((await verifyPlace(placeOf(to))).problems).toEqual([])

        const follower = await Follower.open(placeOf(to), standbyUrl)
        await follower.catchUp()
        await follower.close()
        await using standby = await openStorage(standbyUrl)
        expect(await contentOf(standby)).toEqual(await contentOf(store))
        shows(
          `${backend.name}: ${KILLS} kills of the writer, ${Math.floor(KILLS / 2)} of a shipper beside it: ${acknowledged + 1} units acknowledged, 0 lost; ${compared} restored moments of ${segments.length} equal to the model`,
        )
      },
      (KILLS + MOMENTS) * HANGING_MS,
    )
  })
}
