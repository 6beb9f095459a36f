/** A copy of a file has a change log of its own: neither accepts the other's tokens. */
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { copyBeforeMigration } from '../../src/backup/before-migration.ts'
import { openStorage, restoreBackup } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'

const LOG = [
  "SELECT count(*) FROM meshstore_state WHERE name = 'change_log'",
  'SELECT count(*) FROM meshstore_consumers',
  // With the row that a log begins with.
  'SELECT count(*) FROM meshstore_changes',
]

function logOf(path: string): unknown[] {
  const raw = new Sqlite(path, { fileMustExist: true, readonly: true })
  try {
    return LOG.map((sql) => raw.prepare(sql).pluck().get())
  } finally {
    raw.close()
  }
}

/** A database with a subscriber that has not read what is there, its token, and a backup of it. */
async function subscribed(folder: TemporaryFolder): Promise<{ path: string; token: string; backup: string }> {
  const path = folder.file('mesh.db')
  const backup = folder.file('mesh.backup')
  await using store = await openStorage(path)
  const token = await store.changes().ready()
  await store.nodes.create(node('a'))
  await store.backup(backup)
  return { path, token, backup }
}

test('a backup has no log, and what it was made of has it still', async () => {
  using folder = temporaryFolder()
  const { path, backup } = await subscribed(folder)
  expect(logOf(path)).toEqual([1, 1, 2])
  expect(logOf(backup)).toEqual([0, 0, 0])
})

for (const [name, isOver] of [
  ['over the database that it was made of', true],
  ['to where nothing is', false],
] as const) {
  test(`a backup that is restored ${name} refuses the tokens of before`, async () => {
    using folder = temporaryFolder()
    const { path, token, backup } = await subscribed(folder)
    const target = isOver ? path : folder.file('restored.db')
    await restoreBackup(backup, target, { replace: isOver })
    await using store = await openStorage(target)
    // As many changes as the token's database has had.
    await store.nodes.save(node('a', { started: true }))
    await expectCode(store.changes({ after: token }).next(), 'CHANGES_MISSED')
  })

  test(`the copy that is made before a migration, restored ${name}, refuses them, too`, async () => {
    using folder = temporaryFolder()
    const { path, token } = await subscribed(folder)
    const { file } = await copyBeforeMigration(path, 'restore')
    // The copy is of all that was there.
    expect(logOf(file)).toEqual([1, 1, 2])
    const target = isOver ? path : folder.file('restored.db')
    await restoreBackup(file, target, { replace: isOver })
    expect(logOf(target)).toEqual([0, 0, 0])
    await using store = await openStorage(target)
    await expectCode(store.changes({ after: token }).next(), 'CHANGES_MISSED')
  })
}
