/** A mixed workload with backups, under the trap. Says what `fs` opened. `--control` adds what the trap must catch. */

import { readFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { openStorage, restoreBackup, verifyBackup } from '../../../src/index.ts'
import { say } from '../support/messages.ts'
import { opened, watch } from './trap.ts'

const [folder = '', control] = process.argv.slice(2)
const path = join(folder, 'mesh.db')
watch(path)

const node = (nodeId: string) => ({ nodeId, interfaces: ['eth0'], protocols: ['batman-adv'] })

async function work(at: string, round: number): Promise<void> {
  const store = await openStorage(at)
  const { nodes, policies, pathCache } = store
  const ids = Array.from({ length: 300 }, (_, index) => `${round}-${index}`)
  const key = { source: 'a', destination: 'b', k: 1 }
  const writes = [
    ...ids.map((id) => nodes.create(node(id))),
    nodes.createMany(Array.from({ length: 1_000 }, (_, index) => node(`${round}-many-${index}`))),
    policies.save({ policyId: 'p', yamlContent: 'rules: []' }),
    pathCache.set(key, { source: 'a', destination: 'b', primary: [] }),
    store.transaction(async (tx) => void (await tx.nodes.save(node('tx')))),
  ]
  const backup = join(folder, `${round}.backup`)
  const [{ tables }] = await Promise.all([store.backup(backup), ...writes])
  await store.transaction(async (tx) => void (await tx.nodes.count()), { readOnly: true })
  for await (const _ of nodes.iterate({ started: false }));
  await Promise.all(ids.map((id) => nodes.delete(id)))
  await store.stats()
  await store.health()
  await verifyBackup(backup)
  const restored = join(folder, `restored-${round}.db`)
  watch(restored)
  await restoreBackup(backup, restored)
  const again = await openStorage(restored)
  await again.nodes.create(node('again'))
  await again.close()
  await store.close()
  if (tables === undefined) throw new Error('The backup has no manifest.')
}

for (let round = 0; round < 3; round++) await work(path, round)
const readOnly = await openStorage({ url: path, readOnly: true })
await readOnly.nodes.count()
await readOnly.close()

if (control === '--control') {
  readFileSync(path)
  await (await open(path, 'r')).close()
}
say(opened)
