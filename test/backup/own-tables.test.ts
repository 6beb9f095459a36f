/** An application's own tables are in every backup, and are restored from it on either dialect. */
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { type BackupManifest, openStorage, restoreBackup, verifyBackup } from '../../src/index.ts'
import { runCommand } from '../cli/support/command.ts'
import { filled, type Kind, kinds, ownHash, type Place, sqlite } from '../move/support/places.ts'
import { forPostgres, plain } from '../move/support/rows.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { APPLIED, addOwnRows, addOwnTables, ownContent } from '../support/own-tables.ts'

async function withOwnTables(kind: Kind, rows = plain(3)): Promise<Place> {
  const place = await filled(await kind.open(), kind === sqlite ? rows : forPostgres(rows))
  await addOwnTables(place.url)
  return place
}

async function backedUp(kind: Kind, folder: TemporaryFolder) {
  await using source = await withOwnTables(kind)
  await addOwnRows(
    source.url,
    (await source.other.rows('nodes')).map(({ node_id }) => String(node_id)),
  )
  await using store = await openStorage(source.url)
  const manifest = await store.backup(folder.file('mesh.backup'))
  return { manifest, own: await ownContent(source.url), ours: await ownHash(source) }
}

const hashes = ({ ownTables = {} }: BackupManifest): unknown => ownTables

describe.each(kinds)('a backup of $name', (kind) => {
  test('says what is in them, and is verified', async () => {
    using folder = temporaryFolder()
    const { manifest } = await backedUp(kind, folder)
    expect(manifest.ownTables).toMatchObject({ links: { rows: 9 }, sites: { rows: 5 } })
    expect(manifest).not.toHaveProperty('leftBehind')
    expect(await verifyBackup(manifest.file)).toEqual(manifest)
    const text = JSON.parse(readFileSync(`${manifest.file}.manifest.json`, 'utf8'))
    expect(text).toMatchObject({ version: 3, ownTables: manifest.ownTables })
    const shown = await runCommand(['backup', 'verify', manifest.file])
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('9 rows of links') })
  })

  test('one cell of them that is changed is found', async () => {
    using folder = temporaryFolder()
    const { manifest } = await backedUp(kind, folder)
    const raw = new Sqlite(manifest.file)
    raw.exec("UPDATE sites SET name = 'other' WHERE site_id = 'a'")
    raw.close()
    await expectCode(verifyBackup(manifest.file), 'BACKUP_INVALID')
  })

  test.each(kinds)('is restored into $name, with equal hashes', async (to) => {
    using folder = temporaryFolder()
    const { manifest, own, ours } = await backedUp(kind, folder)
    await using target = await withOwnTables(to, [])
    const restored = await restoreBackup(manifest.file, target.url, to === sqlite ? { replace: true } : {})
    expect(await ownContent(target.url)).toBe(own)
    expect(await ownHash(target)).toBe(ours)
    expect(hashes(restored)).toEqual(manifest.ownTables)
    await using store = await openStorage(target.url)
    const again = await store.backup(folder.file('again.backup'))
    expect(again.tables).toEqual(manifest.tables)
    expect(again.ownTables).toEqual(manifest.ownTables)
    // The foreign keys, and the triggers, are the application's.
    await expect(target.other.execute("UPDATE links SET site_id = 'none'")).rejects.toThrow()
  })

  test.each(kinds)('is refused by $name without the tables, before anything is written', async (to) => {
    // A file is restored as a whole.
    if (kind === sqlite && to === sqlite) return
    using folder = temporaryFolder()
    const { manifest } = await backedUp(kind, folder)
    await using target = await to.open()
    const { message } = await expectCode(restoreBackup(manifest.file, target.url), 'SCHEMA_MISMATCH')
    expect(message).toMatch(/no tables (sites, links|links, sites), which are .* Nothing was written/)
    expect(message).toContain(APPLIED)
    const command = await runCommand(['restore', '--from', manifest.file, '--to', target.url, '--dry-run'])
    expect(command).toMatchObject({ code: 4, stderr: expect.stringContaining('Nothing was written.') })
    if (to === sqlite) expect(existsSync(target.url)).toBe(false)
    else await expect(target.other.rows('nodes')).rejects.toThrow()
  })
})

test('a manifest without own tables stays readable', async () => {
  using folder = temporaryFolder()
  await using source = await filled(await sqlite.open(), plain(2))
  await using store = await openStorage(source.url)
  const manifest = await store.backup(folder.file('mesh.backup'))
  expect(manifest).not.toHaveProperty('ownTables')
  const text = JSON.parse(readFileSync(`${manifest.file}.manifest.json`, 'utf8'))
  expect(text).toMatchObject({ version: 1 })
  expect(await verifyBackup(manifest.file)).toEqual(manifest)
})

test('a description in a stranger’s backup is never run as SQL', async () => {
  using folder = temporaryFolder()
  const { manifest } = await backedUp(sqlite, folder)
  const copy = folder.file('copy.backup')
  copyFileSync(manifest.file, copy)
  const raw = new Sqlite(copy)
  raw
    .prepare("UPDATE meshstore_state SET value = replace(value, '\"link_id\"', ?) WHERE name = 'table:links'")
    .run('"x\\" FROM nodes; DROP TABLE nodes; --"')
  raw.close()
  writeFileSync(`${copy}.manifest.json`, readFileSync(`${manifest.file}.manifest.json`))
  await expectCode(verifyBackup(copy), 'BACKUP_INVALID')
})
