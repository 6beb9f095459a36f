/** Two processes ship one database: one of them stands by, and takes over when the other has ended. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { FolderPlace } from '../../src/replication/folder.ts'
import { verifyPlace } from '../../src/replication/verify.ts'
import { contentOf, objectsIn, restored, shipping } from '../replication/support/replicas.ts'
import { lastingBackends } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'

const SHIPPER = join(import.meta.dirname, 'replication-shipper.ts')

async function until(condition: () => unknown): Promise<void> {
  while (!(await condition())) await new Promise((done) => setTimeout(done, 10))
}

async function started(url: string, to: string): Promise<ChildProcess> {
  const child = fork(SHIPPER, [url, to], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  await once(child, 'message')
  return child
}

for (const backend of lastingBackends) {
  describe(`two shippers of ${backend.name}`, () => {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const)
      test(`the second takes over after ${signal} for the first`, async () => {
        using folder = temporaryFolder()
        const to = folder.file('replica')
        const segments = (): number => objectsIn(to).filter((name) => name.endsWith('.segment')).length
        await using opened = await backend.open()
        const first = await started(opened.url, to)
        // It ships when the test says so: the first is the quicker one.
        await using second = await shipping(opened.url, new FolderPlace(to), { everyMs: 30, takeOverMs: 300 })
        const { store, shipper } = second
        await shipper.flush()
        const before = segments()
        await store.nodes.save(node('of the first'))
        await until(() => segments() > before)
        shipper.start()
        await until(() => shipper.health().standsBy)
        for (let turn = 0; turn < 20; turn++) {
          const shipped = segments()
          await store.nodes.save(node('n', { routesDiscovered: turn }))
          await until(() => segments() > shipped)
          expect(shipper.health().problem).toBeUndefined()
        }
        first.kill(signal)
        await once(first, 'exit')
        await store.nodes.save(node('after the first has ended'))
        await until(() => !shipper.health().standsBy)
        await shipper.flush()
        for (let more = 0; more < 3; more++) {
          const { content, problem } = await restored(to)
          expect(problem).toBeUndefined()
          expect(content).toEqual(await contentOf(store))
          await store.nodes.save(node(`more ${more}`))
          await shipper.flush()
        }
        expect((await verifyPlace(new FolderPlace(to))).problems).toEqual([])
        expect(objectsIn(to)).not.toContain('g000002/begin')
      }, 120_000)
  })
}
