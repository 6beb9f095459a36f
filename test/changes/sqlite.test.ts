/** On SQLite numbers have no gap, so that a gap says that something was missed. */
import { copyFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { type Changes, openStorage } from '../../src/index.ts'
import { sqliteFile } from '../support/backends.ts'
import { expectCode } from '../support/expectations.ts'
import { manyNodes, node } from '../support/samples.ts'
import { logOf } from './support/log.ts'
import { committed, subscribed, take, words } from './support/reading.ts'

test('more than a million changes are kept for nobody, whoever writes them', async () => {
  await using opened = await sqliteFile.open()
  const { store, other } = opened
  const sleeper = await subscribed(store)
  await store.nodes.createMany([node('a'), node('b')])
  // The log begins with a row of its own: a and b are 2 and 3. The next change is 1000064: SQLite deletes with every 128th.
  await other.execute("INSERT INTO meshstore_changes (seq, table_name, operation) VALUES (1000063, '', 'begin')")
  await other.execute("UPDATE nodes SET routes_discovered = 1 WHERE node_id = 'a'")
  await other.execute('DELETE FROM meshstore_changes WHERE seq = 1000063')
  expect(await logOf(opened)).toEqual({ isOn: true, consumers: 1, changes: 1 })
  const reader = await subscribed(store)
  await other.execute("UPDATE nodes SET routes_discovered = 2 WHERE node_id = 'a'")
  expect(await logOf(opened)).toEqual({ isOn: true, consumers: 2, changes: 2 })
  await expectCode(sleeper.next(), 'CHANGES_MISSED')
  expect((await take(reader, 1)).map(words)).toEqual(['update nodes a'])
})

test.for([
  ['the first that comes', 'DELETE FROM meshstore_changes WHERE seq = (SELECT min(seq) FROM meshstore_changes)'],
  ['one in between', 'DELETE FROM meshstore_changes WHERE seq = (SELECT min(seq) + 1 FROM meshstore_changes)'],
  ['all of them', 'DELETE FROM meshstore_changes'],
])('whoever was to read is told of a gap: %s', async ([, sql = '']) => {
  await using opened = await sqliteFile.open()
  const changes = await subscribed(opened.store)
  await opened.store.nodes.createMany(manyNodes(3))
  await opened.other.execute(sql)
  await expectCode(changes.next(), 'CHANGES_MISSED')
})

test('no number is given twice, though all changes were read: the newest is not deleted', async () => {
  await using opened = await sqliteFile.open()
  const changes = await subscribed(opened.store)
  await opened.store.nodes.create(node('a'))
  const [first] = await take(changes, 1)
  const second = await subscribed(opened.store, { after: first?.token })
  await changes.return()
  await opened.store.pathCache.sweep()
  expect(await logOf(opened)).toMatchObject({ isOn: true, changes: 1 })
  await opened.store.nodes.create(node('b'))
  const [next] = await take(second, 1)
  expect(next && words(next)).toBe('insert nodes b')
  const numberIn = (token = '') => Number(/~(\d+)/.exec(token)?.[1])
  expect(numberIn(next?.token)).toBeGreaterThan(numberIn(first?.token))
})

test('a file that was put back to an earlier copy tells, though as many changes have come since', async () => {
  await using opened = await sqliteFile.open()
  const { store, other, path } = opened
  const changes = await subscribed(store)
  await store.nodes.create(node('kept'))
  const [kept] = await take(changes, 1)
  await other.execute('PRAGMA wal_checkpoint(TRUNCATE)')
  const copy = `${path}.copy`
  copyFileSync(path, copy)
  await store.nodes.createMany([node('lost-1'), node('lost-2')])
  const [, lost] = await take(changes, 2)
  await store.close()
  copyFileSync(copy, path)
  await using again = await openStorage({ url: path })
  await again.nodes.createMany([node('x'), node('y'), node('z')])
  await expectCode(again.changes({ after: lost?.token }).next(), 'CHANGES_MISSED')
  const resumed = await subscribed(again, { after: kept?.token })
  expect((await take(resumed, 3)).map(words)).toEqual(['insert nodes x', 'insert nodes y', 'insert nodes z'])
})

test('writes that are refused among those of one commit leave no gap', async () => {
  await using opened = await sqliteFile.open()
  await opened.store.nodes.create(node('taken'))
  const changes = await subscribed(opened.store)
  const asked = Array.from({ length: 60 }, (_, index) =>
    opened.store.nodes.createMany([node(`n-${index}`), node(index % 3 === 0 ? 'taken' : `m-${index}`)]),
  )
  const outcomes = await Promise.allSettled(asked)
  const fulfilled = outcomes.flatMap(({ status }, index) => (status === 'fulfilled' ? [index] : []))
  expect(fulfilled).toHaveLength(40)
  const expected = fulfilled.flatMap((index) => [`insert nodes n-${index}`, `insert nodes m-${index}`])
  expect(await committed(changes, opened.store)).toEqual(expected)
})

test('a subscription that failed is held by nobody: the loop over it has ended, and another one is begun', async () => {
  setFlagsFromString('--expose-gc')
  const collectGarbage: () => void = runInNewContext('gc')
  await using opened = await sqliteFile.open({ busyTimeoutMs: 0 })
  const raw = new Sqlite(opened.path)
  raw.exec('BEGIN IMMEDIATE')
  const failed: WeakRef<Changes>[] = []
  for (let round = 0; round < 20; round++) {
    const changes = opened.store.changes()
    failed.push(new WeakRef(changes))
    await expectCode(changes.next(), 'BUSY')
  }
  raw.exec('ROLLBACK')
  raw.close()
  await new Promise((resolve) => setImmediate(resolve))
  collectGarbage()
  expect(failed.filter((each) => each.deref() !== undefined).length).toBeLessThanOrEqual(2)
})
