/** The application has the file open while it is adopted. */
import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { adopt, inspect, up } from '../../src/open/migrate.ts'
import { runCommand } from '../cli/support/command.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { clients, contentOf, makeFile } from './support/client.ts'
import { DDL, nodeRow, pathRow, policyRow } from './support/ddl.ts'
import { changingNothing } from './support/unchanged.ts'

const GOOD = [nodeRow(), policyRow(), pathRow()]
const fileOf = (folder: TemporaryFolder, journal: string): Promise<string> =>
  makeFile(folder.file('mesh.db'), GOOD, { sql: `PRAGMA journal_mode = ${journal}; ${DDL}` })

/** The other one has met the lock meanwhile; if not, the outcome is the same. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Very long for one attempt, on a busy machine too. */
const LIMIT_MS = 10_000

const cases = clients.flatMap((by) => ['DELETE', 'WAL'].map((journal) => ({ by, journal })))

describe.each(cases)('$by.name has the file open, journal mode $journal,', ({ by, journal }) => {
  test('and does nothing: it is adopted, and both go on', async () => {
    using folder = temporaryFolder()
    const path = await fileOf(folder, journal)
    await using application = by.open(path)
    expect(await application.query('SELECT count(*) FROM nodes')).toEqual([[1]])
    await using store = await openStorage({ url: path, busyTimeoutMs: 0 })
    expect(await store.nodes.count()).toBe(1)
    await application.insert([nodeRow({ node_id: 'theirs' })])
    expect(await store.nodes.get('theirs')).toMatchObject({ nodeId: 'theirs' })
    await store.nodes.recordRoutes('gw-1', 2)
    expect(await application.query("SELECT routes_discovered FROM nodes WHERE node_id = 'gw-1'")).toEqual([[9]])
  })

  test('and reads in a transaction: it is adopted, or BUSY and untouched until the reader has ended', async () => {
    using folder = temporaryFolder()
    const path = await fileOf(folder, journal)
    await using application = by.open(path)
    await application.execute('BEGIN; SELECT count(*) FROM nodes;')
    expect(await application.query('SELECT count(*) FROM nodes')).toEqual([[1]])
    if (journal === 'DELETE') {
      const error = await expectCode(openStorage({ url: path, busyTimeoutMs: 50 }), 'BUSY')
      expect(error.retryable).toBe(true)
      expect(readdirSync(folder.path)).toEqual(['mesh.db'])
    } else {
      await (await openStorage({ url: path, busyTimeoutMs: 50 })).close()
      // It goes on seeing the moment in which it began.
      expect(await application.query('SELECT count(*) FROM nodes')).toEqual([[1]])
    }
    await application.execute('COMMIT')
    await using store = await openStorage({ url: path, busyTimeoutMs: 5_000 })
    expect(await store.nodes.count()).toBe(1)
    await application.insert([nodeRow({ node_id: 'theirs' })])
    expect(await store.nodes.count()).toBe(2)
  })

  test('and writes: BUSY after as long as was said, nothing changed', async () => {
    using folder = temporaryFolder()
    const path = await fileOf(folder, journal)
    await using application = by.open(path)
    await application.execute('BEGIN IMMEDIATE; UPDATE nodes SET routes_discovered = 8;')
    // In a process of its own, which can be ended: a migration may wait for ten minutes.
    const args = ['migrate', 'up', '--url', path, '--wait', '0.1', '--json']
    const ran = await runCommand(args, { timeoutMs: LIMIT_MS })
    expect(ran).toMatchObject({ code: 5 })
    expect(JSON.parse(ran.stdout)).toMatchObject({ error: { code: 'BUSY', retryable: true } })
    expect(readdirSync(folder.path).filter((name) => name.includes('before') || name.includes('partial'))).toEqual([])

    await application.execute('COMMIT')
    await (await openStorage(path)).close()
    expect(await application.query('SELECT routes_discovered FROM nodes')).toEqual([[8]])
  })

  test('and is about to end its write: it is waited for, and what it wrote is there', async () => {
    using folder = temporaryFolder()
    const path = await fileOf(folder, journal)
    await using application = by.open(path)
    await application.execute("BEGIN IMMEDIATE; INSERT INTO nodes VALUES ('late', '[]', '[]', NULL, NULL, 1.5, 2.5);")
    const adopting = up(path, { busyTimeoutMs: 20_000 })
    await turns(50)
    await application.execute('COMMIT')
    const { adoption } = await adopting
    expect(adoption?.tables[0]).toMatchObject({ kept: 2, normalised: 1 })
  })

  test('and writes a row that cannot be kept while another one waits: it stops, and nothing is changed', async () => {
    using folder = temporaryFolder()
    const path = await fileOf(folder, journal)
    await using application = by.open(path)
    await application.execute("BEGIN IMMEDIATE; INSERT INTO nodes VALUES ('late', '[]', '[]', 'maybe', 0, 1.5, 2.5);")
    const adopting = expectCode(up(path, { busyTimeoutMs: 20_000 }), 'SCHEMA_MISMATCH')
    await turns(50)
    await application.execute('COMMIT')
    const { message } = await adopting
    expect(message).toContain('"late"')
    expect(readdirSync(folder.path).filter((name) => /before.*Z$/.test(name))).toEqual([])
    expect(await inspect(path)).toMatchObject({ state: 'refused' })
  })
})

test('two that adopt at once: one does it, and one copy is made', async () => {
  using folder = temporaryFolder()
  const path = await fileOf(folder, 'DELETE')
  const before = contentOf(path)
  const args = ['migrate', 'up', '--url', path, '--json']
  const ran = await Promise.all(Array.from({ length: 4 }, () => runCommand(args)))
  expect(ran.map(({ code, stderr }) => ({ code, stderr }))).toEqual(ran.map(() => ({ code: 0, stderr: '' })))
  expect(ran.map(({ stdout }) => JSON.parse(stdout)).filter(({ adoption }) => adoption !== undefined)).toHaveLength(1)
  expect(readdirSync(folder.path).filter((name) => /before.*Z$/.test(name))).toHaveLength(1)
  expect(contentOf(path)).toEqual(before)
})

test('a file that another has adopted meanwhile is left to it', async () => {
  using folder = temporaryFolder()
  const path = await fileOf(folder, 'DELETE')
  await up(path, { backup: false })
  await changingNothing(folder.path, () => adopt(path, { quarantine: folder.file('rows.ndjson') }))
})
