/** Backups of other versions: an older one is brought up to date, a newer one is taken if it can be worked with. */
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, expect, test } from 'vitest'
import { openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import { previewRestore } from '../../src/restore/restore.ts'
import { laterVersion } from '../faults/migration-tree.ts'
import { run } from '../schema/tree-copy.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { sqliteProgram } from '../support/other-program.ts'
import { LATEST, TAGS } from '../support/tags.ts'
import { backupOf, bytesIn, contentOf, database, idsOf, namesIn } from './support/files.ts'

const later = await laterVersion()
afterAll(() => later[Symbol.dispose]())

async function byLaterVersion(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(later.root, 'src/cli/main.ts', [...args, '--json'])
  if (code !== 0) throw new Error(`${code}: ${stdout} ${stderr}`)
  return JSON.parse(stdout)
}

/** The two that the later version has. */
const MIGRATED = [1, 2].map((more) => expect.stringMatching(`^000${TAGS.length - 1 + more}_`))

test('an older backup is restored, and brought up to date by the newer version', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'old')
  const path = folder.file('data', 'mesh.db')
  expect(await byLaterVersion('restore', '--from', file, '--to', path)).toMatchObject({
    schemaVersion: LATEST,
    migrated: MIGRATED,
  })
  // The backup itself is the copy of before: none is made beside the database.
  expect(namesIn(folder.file('data'))).toEqual(['mesh.db'])
  const raw = new Sqlite(path)

  expect(raw.prepare('SELECT sum(routes_discovered) FROM nodes').pluck().get()).toBe(50)
  raw.close()
  await verifyBackup(file)
})

test('with --no-migrate it is left as it was in the backup', async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'old')
  const path = folder.file('mesh.db')
  expect(await byLaterVersion('restore', '--from', file, '--to', path, '--no-migrate')).toMatchObject({ migrated: [] })
  expect(contentOf(path)).toBe(contentOf(file))
  await using store = await openStorage({ url: path, migrate: 'check' })
  expect((await store.stats()).schemaVersion).toBe(LATEST)
})

test('a newer backup that breaks nothing is verified and restored by the older version, and goes on to work', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('data', 'mesh.db'))
  const made = await byLaterVersion('migrate', 'up', '--url', path).then(() =>
    byLaterVersion('backup', 'create', '--url', path, '--file', folder.file('newer.backup')),
  )
  expect(made).toMatchObject({ schemaVersion: MIGRATED[1] })
  const file = folder.file('newer.backup')
  expect(await verifyBackup(file)).toMatchObject({ schemaVersion: made.schemaVersion })
  expect(await restoreBackup(file, folder.file('restored.db'))).toMatchObject({ migrated: [] })
  await using store = await openStorage(folder.file('restored.db'))
  expect(await idsOf(store)).toHaveLength(50)
})

test('one that breaks the older version is refused with SCHEMA_NEWER before anything is changed', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('source', 'mesh.db'))
  await sqliteProgram(path).execute(
    "INSERT INTO meshstore_state (name, value, updated_at) VALUES ('breaking:9999_x', 'all is elsewhere', 1)",
  )
  const file = folder.file('mesh.backup')
  {
    await using store = await openStorage({ url: path, migrate: 'skip' })
    await store.backup(file)
  }
  await verifyBackup(file)
  const target = await database(folder.file('data', 'mesh.db'), 10, 'old')
  const before = bytesIn(folder.file('data'))
  for (const url of [target, join(folder.path, 'new.db')]) {
    const error = await expectCode(restoreBackup(file, url, { replace: true }), 'SCHEMA_NEWER')
    expect(error.message).toMatch(/9999_x \(all is elsewhere\)/)
    await expectCode(restoreBackup(file, url, { replace: true, migrate: false }), 'SCHEMA_NEWER')
    await expectCode(previewRestore(file, url), 'SCHEMA_NEWER')
  }
  expect(bytesIn(folder.file('data'))).toEqual(before)
  expect(namesIn(folder.path)).not.toContain('new.db')
})
