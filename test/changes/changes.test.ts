/** Every committed change reaches who subscribed, whichever program made it. */
import { expect, test } from 'vitest'
import type { Change, Changes } from '../../src/api.ts'
import { expectCode } from '../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { eachBackend, eachLastingBackend } from '../support/settings.ts'

const words = ({ table, operation, key, paths }: Change): string =>
  [operation, table, key ?? JSON.stringify(paths)].join(' ')

/** The next ones; later ones would be found by the next call. */
async function take(changes: Changes, count: number): Promise<Change[]> {
  const taken: Change[] = []
  while (taken.length < count) {
    const { value } = await changes.next()
    if (value === undefined) break
    taken.push(value)
  }
  return taken
}

eachBackend('changes', (backend) => {
  test('of all tables, each with its key, in the order of the commits', async () => {
    await using opened = await backend.open()
    const { nodes, policies, pathCache } = opened.store
    await nodes.create(node('before'))
    const changes = opened.store.changes()
    await changes.ready()
    await nodes.create(node('a'))
    await nodes.save(node('a', { started: true }))
    await nodes.recordRoutes('a')
    await policies.create(policy('p'))
    await policies.update('p', { yamlContent: 'rules: []' })
    await pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    await pathCache.delete(pathKey('a', 'b'))
    await policies.delete('p')
    await nodes.delete('a')
    await nodes.delete('a')
    await pathCache.invalidate({ source: 'x' })
    const seen = (await take(changes, 14)).map(words)
    expect(seen.filter((each) => !each.startsWith('invalidate'))).toEqual([
      'insert nodes a',
      'update nodes a',
      'update nodes a',
      'insert policies p',
      'update policies p',
      expect.stringMatching(/^insert path_cache ./),
      expect.stringMatching(/^delete path_cache /),
      'delete policies p',
      'delete nodes a',
    ])
  })
})

eachLastingBackend('changes of others', (backend) => {
  test('another store, and another program', async () => {
    await using opened = await backend.open()
    const second = await opened.openAgain()
    const changes = opened.store.changes()
    const token = await changes.ready()
    await second.nodes.create(node('a'))
    const [first] = await take(changes, 1)
    expect(first && words(first)).toBe('insert nodes a')
    await second.nodes.create(node('b'))
    await changes.return()
    await expectCode(opened.store.changes({ after: token }).next(), 'CHANGES_MISSED')
  })
})
