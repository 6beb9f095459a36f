/** `meshstore migrate adopt` records what is there, when the record was lost, and makes triggers and indexes that are not. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Dialect, TreeCopy } from '../schema/tree-copy.ts'
import { drizzleKitMigrate, HERE, migrate, migrated, opened, statusOf, type Tree } from './support/commands.ts'
import { eachDialect, rowsFor, type Scratch } from './support/databases.ts'
import {
  ADD_NOTE,
  CHECK_ROUTES,
  fileOf,
  grown,
  LIMIT_K,
  ledgerOf,
  type Step,
  tagOf,
  tagsOf,
  without,
  withSql,
} from './support/trees.ts'

const FILL: Step = { name: 'fill' }
/** 0000, add_note, check_routes, limit_k. */
let full: TreeCopy
/** 0000, add_note. */
let early: TreeCopy
/** The full one, and a last one that changes rows alone. */
let filling: TreeCopy
beforeAll(async () => {
  const made = await grown(ADD_NOTE, CHECK_ROUTES, LIMIT_K, FILL)
  filling = withSql(made, FILL, () => 'UPDATE nodes SET routes_discovered = routes_discovered + 100;\n')
  full = without(made, FILL)
  early = without(full, CHECK_ROUTES, LIMIT_K)
  made[Symbol.dispose]()
})
afterAll(() => {
  for (const tree of [full, early, filling]) tree[Symbol.dispose]()
})

const lose: Record<string, Record<Dialect, string>> = {
  'the table of the ledger is gone': {
    sqlite: 'DROP TABLE __drizzle_migrations',
    postgresql: 'DROP SCHEMA drizzle CASCADE',
  },
  'the ledger is empty': {
    sqlite: 'DELETE FROM __drizzle_migrations',
    postgresql: 'DELETE FROM drizzle.__drizzle_migrations',
  },
}

async function lost(scratch: Scratch, by: Tree, how: Record<Dialect, string> | undefined): Promise<void> {
  await migrated(by, scratch.url, 'up')
  await scratch.query(rowsFor(scratch.dialect))
  await scratch.query(how?.[scratch.dialect] ?? '')
}

const rowsOf = (scratch: Scratch): Promise<object[]> => scratch.query('SELECT * FROM nodes ORDER BY node_id')

eachDialect('adopt, of a database that lost its record', (dialect, make) => {
  describe.each(Object.entries(lose))('%s', (_, how) => {
    test('is not opened, says what to do, and is left as it is', async () => {
      await using scratch = await make()
      await lost(scratch, full, how)
      const before = await scratch.snapshot()
      const refusal = { code: 'SCHEMA_MISMATCH', message: expect.stringContaining('meshstore migrate adopt') }
      expect(await opened(full, scratch.url, 'apply')).toMatchObject([refusal])
      expect(await opened(full, scratch.url, 'check')).toMatchObject([{ code: 'SCHEMA_MISMATCH' }])
      expect(await statusOf(full, scratch.url)).toMatchObject({ code: 4, state: 'refused', problem: refusal })
      expect(await migrate(full, scratch.url, 'up')).toMatchObject({ code: 4 })
      expect(await scratch.snapshot()).toBe(before)
    })

    test('is recorded when the tables are as the migrations make them, once', async () => {
      await using scratch = await make()
      await lost(scratch, full, how)
      const [rows, catalog] = [await rowsOf(scratch), await ourCatalog(scratch)]
      const { stdout } = await migrated(full, scratch.url, 'adopt')
      expect(stdout).toBe(
        tagsOf(full)
          .map((tag) => `Recorded ${tag}: the tables are as it makes them.\n`)
          .join(''),
      )
      expect(await scratch.ledger()).toEqual(ledgerOf(full, dialect))
      expect([await rowsOf(scratch), await ourCatalog(scratch)]).toEqual([rows, catalog])
      expect(await statusOf(full, scratch.url)).toMatchObject({ code: 0, state: 'current', drift: [] })
      expect(await opened(full, scratch.url, 'check')).toEqual([{ nodes: ['check', 'gw-1', 'gw-2'] }])

      const again = await migrated(full, scratch.url, 'adopt', '--json')
      expect(JSON.parse(again.stdout)).toEqual({ recorded: [], repaired: [], applied: [], pending: [] })
      expect(await scratch.ledger()).toEqual(ledgerOf(full, dialect))
      // drizzle-kit goes on from there, too: it has nothing to apply.
      await drizzleKitMigrate(full, scratch.url)
      expect(await scratch.ledger()).toEqual(ledgerOf(full, dialect))
    })
  })

  const [dropped] = Object.values(lose)

  test('records a beginning of the migrations; the others are then pending, and are applied', async () => {
    await using scratch = await make()
    await lost(scratch, early, dropped)
    const { stdout } = await migrated(full, scratch.url, 'adopt', '--json')
    expect(JSON.parse(stdout)).toEqual({ recorded: tagsOf(early), repaired: [], applied: [], pending: [] })
    expect(await scratch.ledger()).toEqual(ledgerOf(early, dialect))
    expect(await statusOf(full, scratch.url)).toMatchObject({ state: 'pending', pending: tagsOf(full).slice(-2) })
    await migrated(full, scratch.url, 'up')
    expect(await statusOf(full, scratch.url)).toMatchObject({ code: 0, state: 'current', drift: [] })
    expect(await rowsOf(scratch)).toHaveLength(2)
  })

  test('does not record one that changes rows and was not applied', async () => {
    await using scratch = await make()
    await lost(scratch, full, dropped)
    await migrated(filling, scratch.url, 'adopt')
    expect(await scratch.ledger()).toEqual(ledgerOf(full, dialect))
  })

  test('records one that changes rows and was applied, and does not run it again', async () => {
    await using scratch = await make()
    await lost(scratch, filling, dropped)
    const rows = await rowsOf(scratch)
    await migrated(filling, scratch.url, 'adopt')
    expect(await scratch.ledger()).toEqual(ledgerOf(filling, dialect))
    expect(await statusOf(filling, scratch.url)).toMatchObject({ code: 0, state: 'current' })
    expect(await rowsOf(scratch)).toEqual(rows)
  })

  test.each([
    ['a column more', 'ALTER TABLE policies ADD COLUMN region text', /policies: unexpected region text/],
    ['a table less', 'DROP TABLE policies', /policies: missing the table/],
  ])('is refused with %s, and nothing is changed', async (_, change, says) => {
    await using scratch = await make()
    await lost(scratch, full, dropped)
    await scratch.query(change)
    const before = await scratch.snapshot()
    const { code, stdout, stderr } = await migrate(full, scratch.url, 'adopt')
    expect({ code, stdout, stderr }).toEqual({ code: 4, stdout: '', stderr: expect.stringMatching(says) })
    expect(stderr).toContain('Nothing was recorded')
    expect(await scratch.snapshot()).toBe(before)
  })

  test('makes an index again that is missing', async () => {
    await using scratch = await make()
    await lost(scratch, full, dropped)
    await scratch.query('DROP INDEX idx_cache_expires')
    const { stdout } = await migrated(full, scratch.url, 'adopt', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ recorded: tagsOf(full), repaired: [{ part: 'index' }] })
    expect(await statusOf(full, scratch.url)).toMatchObject({ code: 0, state: 'current', drift: [] })
  })

  test('is refused of tables that newer code made and this one does not know', async () => {
    await using scratch = await make()
    await lost(scratch, full, dropped)
    const before = await scratch.snapshot()
    expect(await migrate(HERE, scratch.url, 'adopt')).toMatchObject({ code: 4, stdout: '' })
    expect(await scratch.snapshot()).toBe(before)
  })

  test('is refused of a database that a newer version marked as not to be opened', async () => {
    await using scratch = await make()
    await lost(scratch, full, dropped)
    await scratch.query(
      "INSERT INTO meshstore_state (name, value, updated_at) VALUES ('breaking:0009_split', 'nodes are elsewhere', 0)",
    )
    const before = await scratch.snapshot()
    const { code, stderr } = await migrate(full, scratch.url, 'adopt')
    expect({ code, stderr }).toMatchObject({ code: 4, stderr: expect.stringContaining('0009_split') })
    expect(await scratch.snapshot()).toBe(before)
  })

  test('does nothing to a database that has its record, also where something is pending', async () => {
    await using scratch = await make()
    await migrated(early, scratch.url, 'up')
    const before = await scratch.snapshot()
    expect(await migrate(full, scratch.url, 'adopt')).toMatchObject({ code: 3, stderr: '' })
    expect(await scratch.snapshot()).toBe(before)
  })

  test('with --dry-run is the status, and changes nothing', async () => {
    await using scratch = await make()
    await lost(scratch, full, dropped)
    const before = await scratch.snapshot()
    expect(await migrate(full, scratch.url, 'adopt', '--dry-run')).toMatchObject({ code: 4 })
    expect(await scratch.snapshot()).toBe(before)
  })

  test('of a new database is refused as usage, and nothing is made', async () => {
    await using scratch = await make()
    if (dialect === 'sqlite') {
      expect(await migrate(full, scratch.url, 'adopt')).toMatchObject({ code: 2, stdout: '' })
      expect(await migrate(full, scratch.url, 'status')).toMatchObject({ code: 2 })
    }
    await scratch.query('CREATE TABLE theirs (a integer)')
    const before = await scratch.snapshot()
    const { code, stderr } = await migrate(full, scratch.url, 'adopt')
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/^CONFIG: .*migrate up/) })
    expect(await scratch.snapshot()).toBe(before)
  })

  test('is no way around the refusal of an edited file', async () => {
    await using scratch = await make()
    await migrated(full, scratch.url, 'up')
    using edited = withSql(full, ADD_NOTE, (sql) => `${sql}-- more\n`)
    const before = await scratch.snapshot()
    await migrate(edited, scratch.url, 'adopt')
    expect(await scratch.snapshot()).toBe(before)
    expect(await opened(edited, scratch.url, 'apply')).toMatchObject([
      { code: 'MIGRATION_EDITED', message: expect.stringContaining(fileOf(dialect, tagOf(full, ADD_NOTE))) },
    ])
  })
})

const ourCatalog = async (scratch: Scratch): Promise<string[]> =>
  (await scratch.catalog()).filter((part) => !part.includes('__drizzle_migrations'))
