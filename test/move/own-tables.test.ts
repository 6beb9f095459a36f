/** An application's own tables go along with every copy, export and import, by what the database says of them. */
import { describe, expect, test } from 'vitest'
import { copyDatabase } from '../../src/index.ts'
import { exportTo, type Output } from '../../src/transfer/index.ts'
import { runCommand } from '../cli/support/command.ts'
import { expectCode } from '../support/expectations.ts'
import { APPLIED, addOwnRows, addOwnTables, linkRows, ownContent, siteRows } from '../support/own-tables.ts'
import { imported } from '../transfer/support/transferred.ts'
import { counts, directions, filled, type Kind, kinds, ownHash, type Place, sqlite } from './support/places.ts'
import { forPostgres, plain } from './support/rows.ts'

const NODES = ['node-0', 'node-1', 'node-2'] as const

async function withOwnTables(kind: Kind, rows = plain(3)): Promise<Place> {
  const place = await filled(await kind.open(), kind === sqlite ? rows : forPostgres(rows))
  await addOwnTables(place.url)
  return place
}

/** The ids of the rows of `plain()`. */
async function withOwnRows(kind: Kind): Promise<Place> {
  const place = await withOwnTables(kind)
  const nodes = (await place.other.rows('nodes')).map(({ node_id }) => String(node_id))
  await addOwnRows(place.url, nodes)
  return place
}

async function exported(url: string): Promise<string> {
  let text = ''
  const output: Output = {
    write: async (piece) => {
      text += piece
    },
    finish: async () => {},
    discard: async () => {},
  }
  await exportTo(url, output, { skipInvalid: false, onInvalid: () => {} })
  return text
}

const ROWS = { links: 3 * NODES.length, sites: siteRows.length }

describe.each(directions)('from $names.0 to $names.1', ({ from, to }) => {
  test('a copy has every value, to the last bit', async () => {
    await using source = await withOwnRows(from)
    await using target = await withOwnTables(to, [])
    await target.other.execute("DELETE FROM meshstore_state WHERE name = 'path_cache_invalidation'")
    const [before, ours] = [await ownContent(source.url), await ownHash(source)]
    const report = await copyDatabase(source.url, target.url)
    expect(await ownContent(target.url)).toBe(before)
    expect(await ownHash(target)).toBe(ours)
    expect(report).not.toHaveProperty('leftBehind')
    expect(report.ownTables).toMatchObject({
      links: { rows: ROWS.links, refused: 0, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      sites: { rows: ROWS.sites },
    })
    expect(await exported(target.url)).toBe(await exported(source.url))
    // No copied row has invalidated a copied path.
    expect((await exported(target.url)).match(/"table":"path_cache"/g)).toHaveLength(3)
    const state = await target.other.rows('meshstore_state')
    expect(state.filter(({ name }) => name === 'path_cache_invalidation')).toEqual([])
  })

  test('an export is imported', async () => {
    await using source = await withOwnRows(from)
    await using target = await withOwnTables(to, [])
    const text = await exported(source.url)
    const { report, refused } = await imported(target.url, text)
    expect(refused).toEqual([])
    expect(report.rows).toMatchObject({ links: { added: ROWS.links }, sites: { added: ROWS.sites } })
    expect(await ownContent(target.url)).toBe(await ownContent(source.url))
    const again = await imported(target.url, text, { onConflict: 'replace' })
    expect(again.report.rows).toMatchObject({ links: { added: 0, replaced: ROWS.links } })
    expect(await exported(target.url)).toBe(text)
  })

  test('without the tables in the target it is refused before anything is written', async () => {
    await using source = await withOwnRows(from)
    await using target = await to.open()
    for (const dryRun of [true, false]) {
      const { message } = await expectCode(copyDatabase(source.url, target.url, { dryRun }), 'SCHEMA_MISMATCH')
      expect(message).toContain("no tables sites, links, which are the application's own. Nothing was written.")
      expect(message).toContain(APPLIED)
    }
    // Our tables are not there either.
    await expect(target.other.rows('nodes')).rejects.toThrow()
    const command = await runCommand(['copy', '--from', source.url, '--to', target.url])
    expect(command).toMatchObject({ code: 4, stdout: '', stderr: expect.stringContaining('Nothing was written.') })
    const copied = await copyDatabase(source.url, target.url, { ignoreOtherTables: true })
    expect(copied.leftBehind).toEqual([
      { table: 'sites', rows: ROWS.sites },
      { table: 'links', rows: ROWS.links },
    ])
    expect(await counts(target)).toEqual({ nodes: 3, policies: 3, path_cache: 3 })
  })

  test('a row in an own table of the target is not replaced', async () => {
    await using source = await withOwnRows(from)
    await using target = await withOwnTables(to, [])
    await target.other.execute(`INSERT INTO sites (site_id, name) VALUES ('there', 'x')`)
    expect((await expectCode(copyDatabase(source.url, target.url), 'CONFIG')).message).toContain('sites')
  })
})

describe.each(kinds)('on $name', (kind) => {
  test('a row whose table is not there is refused', async () => {
    await using source = await withOwnRows(kind)
    await using target = await filled(await kind.open())
    const { report, refused } = await imported(target.url, await exported(source.url))
    expect(report.imported).toBe(false)
    expect(refused[0]).toContain('table must be nodes, policies or path_cache')
  })

  test.each([false, true])('a target of another version is refused with what to do, names known: %s', async (named) => {
    const ledger = kind === sqlite ? '__app_migrations' : 'drizzle.__app_migrations'
    await using newer = await withOwnTables(kind, [])
    await newer.other.execute(`INSERT INTO ${ledger} (id, hash, created_at) VALUES (2, '0123456789abcdef', 1)`)
    await newer.other.execute(
      `UPDATE meshstore_state SET value = replace(value, '"hops","kind":"integer","nullable":false', '"hops","kind":"integer","nullable":true') WHERE name = 'table:links'`,
    )
    if (named) {
      await newer.other.execute(`ALTER TABLE ${ledger} ADD COLUMN name TEXT`)
      await newer.other.execute(`UPDATE ${ledger} SET name = '20261120_hops' WHERE id = 2`)
    }
    const shown = named ? '20261120_hops' : '1970-01-01T00:00:00.001Z (01234567)'
    await using older = await withOwnRows(kind)
    const { message } = await expectCode(copyDatabase(older.url, newer.url), 'SCHEMA_MISMATCH')
    expect(message).toContain(`migrations of the application that the source lacks: ${shown}. Use a target`)
    expect(message).not.toContain('First apply')
    // The other way round the target is behind.
    await using behind = await withOwnTables(kind, [])
    const { message: other } = await expectCode(copyDatabase(newer.url, behind.url), 'SCHEMA_MISMATCH')
    expect(other).toContain('First apply')
    expect(other).toContain(shown)
  })

  test("`migrate status` shows the application's own ledger", async () => {
    await using source = await withOwnTables(kind)
    const { stdout } = await runCommand(['migrate', 'status', '--url', source.url])
    expect(stdout).toContain(`Applied of the application's own migrations:\n  ${APPLIED} (abcdef01)`)
  })

  test('`stats` counts them', async () => {
    await using source = await withOwnRows(kind)
    const { stdout } = await runCommand(['stats', '--url', source.url])
    expect(stdout).toContain(`links         ${ROWS.links}\n`)
  })

  test('one table is exported by the command', async () => {
    await using source = await withOwnRows(kind)
    const { code, stdout } = await runCommand(['export', '--url', source.url, '--table', 'sites'])
    expect(code).toBe(0)
    expect(stdout.split('\n')).toHaveLength(ROWS.sites + 3)
    const unknown = await runCommand(['export', '--url', source.url, '--table', 'others'])
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('sites') })
  })

  test.each([
    ['no JSON', `UPDATE meshstore_state SET value = '{' WHERE name = 'table:links'`],
    ['a table of ours', `UPDATE meshstore_state SET name = 'table:nodes' WHERE name = 'table:links'`],
    [
      'a column that is not there',
      `UPDATE meshstore_state SET value = replace(value, 'hops', 'jumps') WHERE name = 'table:links'`,
    ],
    [
      'another kind',
      `UPDATE meshstore_state SET value = replace(value, '"kind":"real"', '"kind":"list"') WHERE name = 'table:links'`,
    ],
    [
      'another key',
      `UPDATE meshstore_state SET value = replace(value, '"key":"link_id"', '"key":"source"') WHERE name = 'table:links'`,
    ],
  ])('a description that is wrong is refused: %s', async (_, sql) => {
    await using source = await withOwnRows(kind)
    await using target = await withOwnTables(kind, [])
    await source.other.execute(sql)
    const { message } = await expectCode(copyDatabase(source.url, target.url), 'SCHEMA_MISMATCH')
    expect(message).toContain('of meshstore_state')
    expect(await ownContent(target.url)).toBe('[["links",[]],["sites",[]]]')
  })

  test('a description of a table that is gone is ignored', async () => {
    await using source = await withOwnRows(kind)
    await source.other.execute('DROP TABLE links')
    await using target = await withOwnTables(kind, [])
    expect((await copyDatabase(source.url, target.url)).ownTables).toMatchObject({ sites: { rows: ROWS.sites } })
  })

  test('foreign keys in a circle are refused', async () => {
    await using source = await withOwnTables(kind)
    await source.other.execute(
      kind === sqlite
        ? 'ALTER TABLE sites ADD COLUMN main TEXT REFERENCES links (link_id)'
        : 'ALTER TABLE sites ADD COLUMN main text REFERENCES links (link_id)',
    )
    const { message } = await expectCode(exported(source.url), 'SCHEMA_MISMATCH')
    expect(message).toContain('links → sites → links')
  })
})

test('rows are linked to nodes that are there', () => {
  expect(linkRows(NODES)).toHaveLength(ROWS.links)
})
