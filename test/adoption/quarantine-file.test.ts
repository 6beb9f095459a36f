/** The file that rows are written to: for its owner alone, never in the place of another, and known to work before anything is done. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { adopt, up } from '../../src/open/migrate.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { TAGS } from '../support/tags.ts'
import { contentOf, makeFile } from './support/client.ts'
import { nodeRow, policyRow } from './support/ddl.ts'
import { quarantinedIn } from './support/quarantined.ts'
import { changingNothing } from './support/unchanged.ts'

const ROWS = [nodeRow(), nodeRow({ node_id: 'broken', started: 'maybe' }), policyRow({ policy_id: null })]
const theirs = (folder: TemporaryFolder): Promise<string> => makeFile(folder.file('mesh.db'), ROWS)

test('is for its owner alone, and the report names it', async () => {
  using folder = temporaryFolder()
  const path = await theirs(folder)
  const file = folder.file('rows.ndjson')
  const report = await adopt(path, { quarantine: file })
  expect(report).toMatchObject({ quarantine: file, recorded: [] })
  expect(report.applied).toHaveLength(TAGS.length)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(quarantinedIn(file)).toHaveLength(2)
  expect(readdirSync(folder.path).filter((name) => name.includes('partial'))).toEqual([])
})

test('is not made where there is nothing to write to it', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
  const { quarantine } = await up(path, { quarantine: folder.file('rows.ndjson'), backup: false })
  expect(quarantine).toBeUndefined()
  expect(readdirSync(folder.path)).toEqual(['mesh.db'])
})

test('that is there and says something else is not replaced, and nothing is changed', async () => {
  using folder = temporaryFolder()
  const path = await theirs(folder)
  const before = contentOf(path)
  const file = folder.write('rows.ndjson', 'of last week\n')
  await changingNothing(folder.path, async () => {
    const { message } = await expectCode(up(path, { quarantine: file }), 'CONFIG')
    expect(message).toContain(file)
    expect(contentOf(path)).toEqual(before)
  })
  await up(path, { quarantine: folder.file('another.ndjson') })
  expect(readFileSync(file, 'utf8')).toBe('of last week\n')
})

test('that is there and says the same will do: a run was killed before its commit', async () => {
  using folder = temporaryFolder()
  const path = await theirs(folder)
  const rehearsal = await makeFile(folder.file('rehearsal.db'), ROWS)
  const file = folder.file('rows.ndjson')
  await up(rehearsal, { quarantine: file })
  const lines = readFileSync(file, 'utf8')
  const { quarantine } = await up(path, { quarantine: file })
  expect(quarantine).toBe(file)
  expect(readFileSync(file, 'utf8')).toBe(lines)
  expect(contentOf(path).nodes).toHaveLength(1)
})

test.each([
  ['in a folder that is not there', (folder: TemporaryFolder) => folder.file('nowhere', 'rows.ndjson')],
  ['in what is no folder', (folder: TemporaryFolder) => folder.file('mesh.db', 'rows.ndjson')],
  ['where no file can be made', () => '/proc/rows.ndjson'],
  ['that is a folder', (folder: TemporaryFolder) => folder.path],
])('%s is refused before anything is changed', async (_, fileOf) => {
  using folder = temporaryFolder()
  const path = await theirs(folder)
  await changingNothing(folder.path, () => expectCode(up(path, { quarantine: fileOf(folder) }), 'CONFIG'))
})

test('that is the database itself is refused, and nothing is changed', async () => {
  using folder = temporaryFolder()
  const path = await theirs(folder)
  await changingNothing(folder.path, () => expectCode(up(path, { quarantine: path }), 'CONFIG'))
})

test('a copy that cannot be made stops all, and nothing is left', async () => {
  using folder = temporaryFolder()
  const path = await theirs(folder)
  mkdirSync(folder.file('copies'))
  writeFileSync(folder.file('copies', 'taken.db'), 'taken')
  const before = contentOf(path)
  for (const backup of [folder.file('copies', 'taken.db'), '/proc/copy.db']) {
    await expectCode(up(path, { quarantine: folder.file('rows.ndjson'), backup }), 'CONFIG')
    expect(readdirSync(folder.path).sort()).toEqual(['copies', 'mesh.db'])
    expect(contentOf(path)).toEqual(before)
  }
  expect(readdirSync(folder.file('copies'))).toEqual(['taken.db'])
})

test('without it, rows that cannot be kept stop every open, each time in the same words', async () => {
  using folder = temporaryFolder()
  const path = await theirs(folder)
  await changingNothing(folder.path, async () => {
    const messages = []
    for (let turn = 0; turn < 3; turn++) messages.push((await expectCode(openStorage(path), 'SCHEMA_MISMATCH')).message)
    for (const migrate of [adopt, up]) messages.push((await expectCode(migrate(path), 'SCHEMA_MISMATCH')).message)
    expect(new Set(messages).size).toBe(1)
  })
})
