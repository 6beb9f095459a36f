/** A store with own tables that moves, and one that is restored: the application's handles go on. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { copyDatabase, openStorage, restoreBackup } from '../../src/index.ts'
import { runCommand } from '../cli/support/command.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { type AppStore, link, openApp } from './app/stages.ts'
import { takeDown, withOwners } from './app/statements.ts'

async function filled(url: string): Promise<AppStore> {
  const store = await openApp(url)
  await store.nodes.create(node('gw-1'))
  await store.tables.sites.create({ siteId: 's', name: 'n' })
  await store.tables.links.createMany([link('1', { siteId: 's', owner: 'gw-1', cost: 5 }), link('2')])
  return store
}

describePostgres('a store with own tables', () => {
  test('moves to PostgreSQL under its handles, where the same calls and statements go on', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    await using store = await filled(folder.file('mesh.db'))
    // The target has the library's tables alone.
    await (await openStorage(database.url)).close()
    await expectCode(store.moveTo(database.url), 'SCHEMA_MISMATCH')
    expect(await store.tables.links.count()).toBe(2)

    await (await openApp(database.url)).close()
    let writes = 0
    const more = async (): Promise<void> => {
      for (; writes < 40; writes++) await store.tables.links.create(link(`m-${writes}`, { siteId: 's' }))
    }
    const [report] = await Promise.all([store.moveTo(database.url), more()])
    expect(report.ownTables).toMatchObject({ links: {}, sites: {} })
    expect(store.dialect).toBe('postgresql')
    expect(await store.tables.links.count()).toBe(42)
    expect(await store.tables.links.list({ orderBy: 'cost', descending: true, limit: 1 })).toMatchObject([
      { linkId: '1' },
    ])
    expect(await store.query(withOwners, { cost: 4 })).toMatchObject([{ links: { linkId: '1' }, nodes: {} }])
    await store.transaction(async (tx) => {
      await tx.tables.links.update('1', { cost: 7 })
      await tx.run(takeDown, { source: 'a', now: new Date(), site: null })
    })
    await using there = await openApp(database.url, { migrate: 'check' })
    expect(await there.tables.links.get('1')).toMatchObject({ cost: 7, isUp: false, siteId: null })
    // The old file's rows are of the switch.
    for (const table of ['nodes', 'links'])
      expect(await runCommand(['inspect', table, '--url', folder.file('mesh.db')])).toMatchObject({
        code: 4,
        stdout: '',
        stderr: expect.stringMatching(/^MOVED: /),
      })
  })

  test('with a text that no index of PostgreSQL can hold is not copied, and the index is named', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    await using store = await filled(folder.file('mesh.db'))
    await store.tables.sites.create({ siteId: 'long', name: randomBytes(4_000).toString('hex') })
    await using target = await openApp(database.url)
    const error = await expectCode(copyDatabase(folder.file('mesh.db'), database.url), 'VALIDATION')
    expect(error.message).toMatch(/A value is larger than PostgreSQL can hold there\..*idx_sites_name of sites/)
    expect(await target.tables.sites.count()).toBe(0)
  })

  test('is restored into a file and into a server, and opens there', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    const backup = folder.file('mesh.backup')
    {
      await using store = await filled(folder.file('mesh.db'))
      await store.backup(backup)
    }
    await restoreBackup(backup, folder.file('restored.db'))
    await (await openStorage(database.url)).close()
    await expectCode(restoreBackup(backup, database.url), 'SCHEMA_MISMATCH')
    await (await openApp(database.url)).close()
    await restoreBackup(backup, database.url)
    for (const url of [folder.file('restored.db'), database.url]) {
      await using store = await openApp(url, { migrate: 'check' })
      expect(await store.tables.links.list()).toMatchObject([
        { linkId: '1', siteId: 's', owner: 'gw-1' },
        { linkId: '2' },
      ])
      expect(await store.nodes.delete('gw-1')).toBe(true)
      expect(await store.tables.links.count(), 'the cascade is there').toBe(1)
    }
  })
})
