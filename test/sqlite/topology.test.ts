/** Programs that write the tables by themselves, with SQLite's own ways to replace a row. */
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { sqliteFile } from '../support/backends.ts'
import { bundle, node, pathKey } from '../support/samples.ts'

const A_B = pathKey('a', 'b')
const RELAY = node('relay', { started: true })
const insert = (how: string, started: number, protocols = '["batman-adv"]'): string =>
  `INSERT ${how} INTO nodes VALUES ('relay', '["eth0","wlan0"]', '${protocols}', ${started}, 7, 1.5, 2.5)`

test.each([
  ['replaces a node by a stopped one', insert('OR REPLACE', 0), false],
  ['replaces it by one with other protocols', insert('OR REPLACE', 1, '[]'), false],
  ['replaces it by the same', insert('OR REPLACE', 1), true],
  ['would add it, if it were not there', insert('OR IGNORE', 0), true],
  ['upserts it without a change', `${insert('', 0)} ON CONFLICT (node_id) DO UPDATE SET routes_discovered = 9`, true],
  [
    'upserts it with a change',
    `${insert('', 0)} ON CONFLICT (node_id) DO UPDATE SET started = excluded.started`,
    false,
  ],
  ['replaces several', `INSERT OR REPLACE INTO nodes SELECT node_id, '[]', '[]', 1, 0, 1.5, 2.5 FROM nodes`, false],
  ['deletes all of them', 'DELETE FROM nodes', false],
  ['gives it another id', "UPDATE nodes SET node_id = 'elsewhere' WHERE node_id = 'relay'", false],
  ['gives another one its id', "DELETE FROM nodes WHERE node_id = 'a'; UPDATE nodes SET node_id = 'a' WHERE 0", false],
  ['adds a policy', "INSERT OR REPLACE INTO policies VALUES ('p', '', 0, 1.5, 2.5)", false],
  ['counts its routes', 'UPDATE nodes SET routes_discovered = 1, updated_at = 3.5, started = started', true],
])('paths are valid or not when a program %s', async (_, sql, valid) => {
  await using opened = await sqliteFile.open()
  const { nodes, pathCache } = opened.store
  await nodes.createMany([RELAY, node('a')])
  await pathCache.set(A_B, bundle('a', 'b'))
  await opened.other.execute(sql)
  expect((await pathCache.get(A_B)) !== undefined).toBe(valid)
  await pathCache.sweep()
  expect((await pathCache.get(A_B)) !== undefined).toBe(valid)
})

test('what a program replaces while paths are computed keeps them from being stored, also when nothing is cached yet', async () => {
  await using opened = await sqliteFile.open()
  const { nodes, pathCache } = opened.store
  await nodes.create(RELAY)
  await pathCache.getOrCompute(A_B, async () => {
    await opened.other.execute(insert('OR REPLACE', 0))
    return bundle('a', 'b')
  })
  expect(await pathCache.get(A_B)).toBeUndefined()
})

test('a program that replaces a cached path has seen what was marked before, and what comes later takes it away', async () => {
  await using opened = await sqliteFile.open()
  const { nodes, pathCache } = opened.store
  await nodes.create(RELAY)
  const replace = (): Promise<void> =>
    opened.other.execute(`INSERT OR REPLACE INTO path_cache VALUES ('a:b:3', 'a', 'b', 3,
      '{"primary": [{"nodes": ["a", "relay", "b"]}]}', 1.5, 4000000000.5)`)
  await replace()
  await nodes.update('relay', { started: false })
  expect(await pathCache.get(A_B)).toBeUndefined()
  await replace()
  expect(await pathCache.get(A_B)).toBeDefined()
  await nodes.update('relay', { started: true })
  expect(await pathCache.get(A_B)).toBeUndefined()
})

test('new nodes leave no marks', async () => {
  await using opened = await sqliteFile.open()
  const { nodes, pathCache } = opened.store
  await pathCache.set(A_B, bundle('a', 'b'))
  await nodes.createMany([RELAY, node('x')])
  await nodes.save(node('y'))
  const raw = new Sqlite(opened.path, { readonly: true })
  expect(raw.prepare('SELECT count(*) FROM path_cache_marks').pluck().get()).toBe(0)
  raw.close()
})

test('the newest mark outlives every sweep: its id must not be given again', async () => {
  await using opened = await sqliteFile.open()
  const { nodes, pathCache } = opened.store
  await nodes.create(RELAY)
  const raw = new Sqlite(opened.path)
  for (let started = 0; started < 1_200; started++) await nodes.update('relay', { started: started % 2 === 1 })
  // As if it had been long ago.
  raw.exec('UPDATE path_cache_marks SET marked_at = 1.5')
  await pathCache.sweep()
  await pathCache.sweep()
  const { count, newest } = raw
    .prepare<[], { count: number; newest: number }>(
      'SELECT count(*) AS count, max(id) AS newest FROM path_cache_marks WHERE swept = 1',
    )
    .get() ?? { count: 0, newest: 0 }
  raw.close()
  expect(newest).toBe(1_200)
  expect(count).toBe(1_000)
  await using again = await openStorage(opened.path)
  expect((await again.pathCache.stats()).entries).toBe(0)
})
