/** An application, as small as it can be and use everything that is loaded on demand. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as meshstore from 'meshstore'
import * as query from 'meshstore/query'
import * as tables from 'meshstore/tables'
import * as sqlite from 'meshstore/tables/sqlite'
import { useOwnTables } from './own-tables.cjs'

const { openStorage, StorageError, verifyBackup, restoreBackup } = meshstore
const refused = (code) => (error) => error instanceof StorageError && error.code === code

// Both ways to load the package lead to the same classes.
assert.equal(createRequire(import.meta.url)('meshstore').StorageError, StorageError)

const folder = await mkdtemp(join(tmpdir(), 'meshstore-consumer-'))
try {
  const file = join(folder, 'mesh.db')
  const backup = join(folder, 'backup.db')
  const key = { source: 'gw-1', destination: 'gw-9', k: 1 }
  const bundle = { source: 'gw-1', destination: 'gw-9', primary: [{ nodes: ['gw-1', 'gw-9'] }], own: [1, null] }

  const store = await openStorage(`sqlite:${file}`)
  await store.nodes.create({ nodeId: 'gw-1', interfaces: ['eth0'], protocols: ['batman-adv'] })
  await store.nodes.update('gw-1', { started: true })
  await assert.rejects(store.nodes.create({ nodeId: 'gw-1', interfaces: [], protocols: [] }), refused('ALREADY_EXISTS'))
  await assert.rejects(store.nodes.create({ nodeId: 'gw-2', interfaces: 'eth0', protocols: [] }), refused('VALIDATION'))

  // Two documents, an alias and a binary value: what the YAML parser cannot do without Node's own modules.
  const yamlContent = 'rules: &rules [a, b]\nkey: !!binary aGVsbG8=\n---\nspec: { ingress: [c], rules: [d] }\n'
  assert.equal((await store.policies.create({ policyId: 'default', yamlContent })).rulesCount, 4)
  await assert.rejects(store.policies.create({ policyId: 'broken', yamlContent: 'a: [' }), refused('VALIDATION'))

  assert.deepEqual(await store.pathCache.getOrCompute(key, () => bundle, { ttlSeconds: 60 }), bundle)
  const undone = store.transaction(async (tx) => {
    await tx.nodes.delete('gw-1')
    throw new Error('undo')
  })
  await assert.rejects(undone, /undo/)
  await store.backup(backup)
  await store.close()

  assert.equal((await verifyBackup(backup)).tables.nodes.rows, 1)
  const restored = join(folder, 'restored.db')
  await restoreBackup(backup, `sqlite:${restored}`)
  for (const path of [file, restored]) {
    const again = await openStorage(path)
    assert.equal((await again.nodes.get('gw-1')).started, true)
    assert.equal((await again.policies.get('default')).yamlContent, yamlContent)
    assert.deepEqual(await again.pathCache.get(key), bundle)
    await again.close()
  }
  await useOwnTables(meshstore, tables, sqlite, query, folder)
  await assert.rejects(openStorage('redis://localhost'), refused('CONFIG'))
} finally {
  await rm(folder, { recursive: true })
}
console.log(`import works on Node ${process.versions.node}`)
