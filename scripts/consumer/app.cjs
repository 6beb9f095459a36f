/** The same for an application that is not made of ES modules. */
const assert = require('node:assert/strict')
const { openStorage, StorageError } = require('meshstore')

async function main() {
  const store = await openStorage('sqlite::memory:')
  await store.nodes.create({ nodeId: 'gw-1', interfaces: ['eth0'], protocols: ['batman-adv'] })
  assert.deepEqual((await store.nodes.get('gw-1')).protocols, ['batman-adv'])
  await assert.rejects(store.nodes.update('gw-2', { started: true }), (error) => {
    return error instanceof StorageError && error.code === 'NOT_FOUND'
  })
  await store.close()
  console.log(`require() works on Node ${process.versions.node}`)
}
main()
