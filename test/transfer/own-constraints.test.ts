/** Rows of own tables that a constraint of the database refuses: each is named by its line, and can be left out. */
import { describe, expect, test } from 'vitest'
import { lastingBackends, type OpenStore } from '../support/backends.ts'
import { app, migrations } from '../tables/app/schema.ts'
import { link, withTables } from '../tables/app/stages.ts'
import { exported, imported } from './support/transferred.ts'

/** The file of three sites and three links, of which one refers to a site. */
async function fileFrom(opened: OpenStore): Promise<string> {
  const { tables } = withTables(opened)
  await tables.sites.createMany(['1', '2', '3'].map((siteId) => ({ siteId, name: `site ${siteId}` })))
  await tables.links.createMany([link('1', { cost: 5 }), link('2', { siteId: '2' }), link('3', { cost: 7 })])
  const all = ['nodes', 'policies', 'sites', 'links', 'path_cache'] as never
  return (await exported(opened.url, { tables: all })).text
}

const lineOf = (file: string, text: string): number => file.split('\n').findIndex((line) => line.includes(text)) + 1

describe.each(lastingBackends)('on $name', (backend) => {
  test.each([
    [
      'a unique index',
      '"site_id":"3","name":"site 3"',
      '"site_id":"3","name":"site 1"',
      /^N has a value that must be unique, and another row has it/,
    ],
    ['a CHECK', '"cost":7', '"cost":-7', /^N is refused by a constraint .*\(links_cost\)$/],
    ['a foreign key', '"site_id":"2","owner"', '"site_id":"9","owner"', /^N is refused by a constraint or a trigger/],
  ])('%s names the line, undoes all of it, or the line is left out', async (_, sound, broken, message) => {
    await using source = await backend.open({ tables: app, migrations })
    const file = (await fileFrom(source)).replace(sound, broken)
    const named = expect.stringMatching(new RegExp(message.source.replace('N', `${lineOf(file, broken)}`)))
    for (const onConflict of ['error', 'skip', 'replace'] as const) {
      await using target = await backend.open({ tables: app, migrations })
      const { tables } = withTables(target)
      const none = await imported(target.url, file, { onConflict })
      expect(none).toMatchObject({ refused: [named], report: { imported: false, refused: 1 } })
      expect([await tables.sites.count(), await tables.links.count()]).toEqual([0, 0])
      const others = await imported(target.url, file, { onConflict, skipRefused: true })
      expect(others).toMatchObject({ refused: [named], report: { imported: true, refused: 1 } })
      expect((await tables.sites.count()) + (await tables.links.count())).toBe(5)
      const { sites, links } = others.report.rows
      expect((sites?.added ?? 0) + (links?.added ?? 0)).toBe(5)
    }
  })

  test('a database without the own tables is said to lack them, on their lines alone', async () => {
    await using source = await backend.open({ tables: app, migrations })
    const file = await fileFrom(source)
    await using target = await backend.open()
    const { refused } = await imported(target.url, file)
    expect(refused).toHaveLength(6)
    for (const each of refused)
      expect(each).toMatch(/table must be nodes, .*: the application's migrations make own tables/)
  })
})
