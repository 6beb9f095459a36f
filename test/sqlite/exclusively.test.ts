/** The file for one alone: what the switch of a move is made in. */
import type Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { configOf } from '../../src/open/config.ts'
import { openSqlite } from '../../src/open/sqlite.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'

const SYNCHRONOUS = { full: 2, normal: 1 }

test.each(['full', 'normal'] as const)("is synced at its commit, with durability '%s' as well", async (durability) => {
  using folder = temporaryFolder()
  const url = folder.file('mesh.db')
  const database = await openSqlite(url, configOf({ url, durability }))
  const level = () => database.onWriter(({ raw }) => raw.pragma('synchronous', { simple: true }))
  expect(await level()).toBe(SYNCHRONOUS[durability])
  expect(await database.exclusively(async (raw) => raw.pragma('synchronous', { simple: true }))).toBe(2)
  expect(await level()).toBe(SYNCHRONOUS[durability])
  await expect(database.exclusively(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await level()).toBe(SYNCHRONOUS[durability])
  await database.close()
})

test('nobody writes meanwhile, of this process or another', async () => {
  using folder = temporaryFolder()
  const url = folder.file('mesh.db')
  const database = await openSqlite(url, configOf({ url, busyTimeoutMs: 50 }))
  const other = await openSqlite(url, configOf({ url, busyTimeoutMs: 50 }))
  const steps: string[] = []
  const insert = (raw: Sqlite.Database, name: string) =>
    raw.prepare("INSERT INTO meshstore_state VALUES (?, '', 0)").run(name)
  let waiting: Promise<unknown> | undefined
  await database.exclusively(async (raw) => {
    insert(raw, 'first')
    waiting = database.onWriter((writer) => {
      insert(writer.raw, 'second')
      steps.push('second')
    })
    await expectCode(
      other.onWriter((writer) => insert(writer.raw, 'third')),
      'BUSY',
    )
    steps.push('first')
  })
  await waiting
  expect(steps).toEqual(['first', 'second'])
  await database.close()
  await other.close()
})
