/** A migration that fails leaves those before it, and nothing of itself. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { TreeCopy } from '../schema/tree-copy.ts'
import { HERE, migrate, migrated, opened, statusOf } from './support/commands.ts'
import { eachDialect, filesIn, rowsFor } from './support/databases.ts'
import { ADD_NOTE, fileOf, grown, LIMIT_K, ledgerOf, type Step, tagOf, withSql } from './support/trees.ts'

const FILL: Step = { name: 'fill' }
const BREAKPOINT = '--> statement-breakpoint\n'
/** add_note, fill, limit_k. */
let tree: TreeCopy
const failing: TreeCopy[] = []
const SQL: readonly (readonly [title: string, sql: string])[] = [
  ['a statement that the database does not understand', 'CREATE TABLE half (a integer);\n--> b\nTHIS IS NO SQL;\n'],
  ['a table that is not there', `CREATE TABLE half (a integer);\n${BREAKPOINT}INSERT INTO absent VALUES (1);\n`],
  [
    'a row that breaks a rule',
    `CREATE TABLE half (a integer);\n${BREAKPOINT}INSERT INTO nodes (node_id, interfaces, protocols, created_at, updated_at) VALUES ('gw-9', '[]', '[]', 1.5, 1e300);\n`,
  ],
  [
    'a key that exists',
    `UPDATE nodes SET routes_discovered = 99;\n${BREAKPOINT}INSERT INTO policies VALUES ('edge', '', 0, 1.5, 1.5);\n`,
  ],
]

beforeAll(async () => {
  tree = await grown(ADD_NOTE, FILL, LIMIT_K)
  for (const [, sql] of SQL) failing.push(withSql(tree, FILL, () => sql))
})
afterAll(() => {
  for (const each of [tree, ...failing]) each[Symbol.dispose]()
})

const at = (index: number): TreeCopy => {
  const found = failing[index]
  if (found === undefined) throw new Error('There is no such tree.')
  return found
}

eachDialect('the second of three migrations fails', (dialect, make) => {
  test.each(SQL.map(([title], index) => ({ title, index })))('with $title', async ({ index }) => {
    await using scratch = await make()
    await migrated(HERE, scratch.url, 'up')
    await scratch.query(rowsFor(dialect))
    const rows = await scratch.query('SELECT * FROM nodes ORDER BY node_id')

    const { code, stdout, stderr } = await migrate(at(index), scratch.url, 'up')
    expect(code).not.toBe(0)
    expect(stderr).toContain(fileOf(dialect, tagOf(tree, FILL)))
    expect(stderr).toContain('was rolled back')
    // The command names what it did before it failed.
    expect(stdout).toMatch(/^Applied \d+_add_note in [^\n]*\n$/)

    // The first is there, as if it had been alone; nothing of the second.
    expect(await scratch.ledger()).toEqual(ledgerOf(tree, dialect).slice(0, -2))
    expect(await scratch.catalog()).not.toContainEqual(expect.stringContaining('half'))
    expect(await scratch.query('SELECT * FROM nodes ORDER BY node_id')).toEqual(rows)
    expect(await statusOf(at(index), scratch.url)).toMatchObject({
      state: 'pending',
      pending: [tagOf(tree, FILL), tagOf(tree, LIMIT_K)],
      drift: [],
    })
    // openStorage() says the same, each time, and older code goes on working.
    for (const outcome of await opened(at(index), scratch.url, 'apply', 'apply'))
      expect(outcome).toMatchObject({
        name: 'StorageError',
        message: expect.stringContaining(fileOf(dialect, tagOf(tree, FILL))),
      })
    expect(await opened(HERE, scratch.url, 'apply')).toEqual([{ nodes: ['apply', 'gw-1', 'gw-2'] }])

    await migrated(tree, scratch.url, 'up')
    expect(await scratch.ledger()).toEqual(ledgerOf(tree, dialect))
    expect(await statusOf(tree, scratch.url)).toMatchObject({ code: 0, state: 'current', drift: [] })
    expect(await scratch.query("SELECT * FROM nodes WHERE node_id <> 'apply' ORDER BY node_id")).toEqual(rows)
  })
})

eachDialect('a migration fails because of rows that are there', (dialect, make) => {
  test('and is applied once they are put right', async () => {
    await using scratch = await make()
    await migrated(HERE, scratch.url, 'up')
    await scratch.query(rowsFor(dialect))
    await scratch.query("UPDATE path_cache SET k = 200000, cache_key = 'a:b:200000'")
    const { code, stderr } = await migrate(tree, scratch.url, 'up')
    expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringContaining(tagOf(tree, LIMIT_K)) })
    expect(await scratch.ledger()).toEqual(ledgerOf(tree, dialect).slice(0, -1))
    expect(await scratch.query('SELECT k FROM path_cache')).toEqual([{ k: 200000 }])
    expect((await scratch.catalog()).join('\n')).not.toContain('__new_path_cache')
    await scratch.query('DELETE FROM path_cache')
    await migrated(tree, scratch.url, 'up')
    expect(await scratch.ledger()).toEqual(ledgerOf(tree, dialect))
    // A copy, with its manifest, for each run that changed something.
    if (dialect === 'sqlite') expect(filesIn(scratch.path.replace(/\/[^/]*$/, ''))).toHaveLength(5)
  })
})
