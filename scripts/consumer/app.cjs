/** The same for an application that is not made of ES modules. */
const assert = require('node:assert/strict')
const { mkdtempSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const meshstore = require('meshstore')
const query = require('meshstore/query')
const tables = require('meshstore/tables')
const sqlite = require('meshstore/tables/sqlite')
const { useOwnTables } = require('./own-tables.cjs')

const { openStorage, StorageError } = meshstore

async function main() {
  const store = await openStorage('sqlite::memory:')
  await store.nodes.create({ nodeId: 'gw-1', interfaces: ['eth0'], protocols: ['batman-adv'] })
  assert.deepEqual((await store.nodes.get('gw-1')).protocols, ['batman-adv'])
  await assert.rejects(store.nodes.update('gw-2', { started: true }), (error) => {
    return error instanceof StorageError && error.code === 'NOT_FOUND'
  })
  await store.close()
  const folder = mkdtempSync(join(tmpdir(), 'meshstore-consumer-'))
  try {
    await useOwnTables(meshstore, tables, sqlite, query, folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
  console.log(`require() works on Node ${process.versions.node}`)
}
main()
