/**
 * Objects missing from our tables are noticed by every open, by health() and by check; `meshstore migrate repair` makes
 * them again.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, inject, test } from 'vitest'
import { check } from '../../src/check/index.ts'
import { openStorage, type StorageOptions } from '../../src/index.ts'
import { inspect, repair, up } from '../../src/open/migrate.ts'
import { runInside } from '../cli/support/inside.ts'
import { createAppRole, runGrants } from '../postgres/support/app-role.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { type Dialect, root } from '../schema/tree-copy.ts'
import { expectCode } from '../support/expectations.ts'
import { eachDialect, postgresScratch, rowsFor, type Scratch, sqliteScratch } from './support/databases.ts'

interface Loss {
  readonly title: string
  readonly sql: Readonly<Partial<Record<Dialect, string>>>
  /** The names in the findings of every open. */
  readonly named: readonly string[]
}

/** `nodes` as a person makes it who knows the columns alone. */
const BY_HAND: Record<Dialect, string> = {
  sqlite: `CREATE TABLE copied (node_id text PRIMARY KEY NOT NULL, interfaces text NOT NULL, protocols text NOT NULL,
      started integer DEFAULT false NOT NULL, routes_discovered integer DEFAULT 0 NOT NULL,
      created_at real NOT NULL, updated_at real NOT NULL);
    INSERT INTO copied SELECT * FROM nodes; DROP TABLE nodes; ALTER TABLE copied RENAME TO nodes`,
  postgresql: `CREATE TABLE copied (LIKE nodes INCLUDING DEFAULTS); INSERT INTO copied SELECT * FROM nodes;
    DROP TABLE nodes; ALTER TABLE copied RENAME TO nodes`,
}
const LOSSES: readonly Loss[] = [
  {
    title: 'a trigger',
    sql: { sqlite: 'DROP TRIGGER nodes_mark_update', postgresql: 'DROP TRIGGER nodes_mark_update ON nodes' },
    named: ['trigger nodes_mark_update'],
  },
  {
    title: 'what drizzle-kit push drops of nodes',
    sql: {
      sqlite: [
        ...['update', 'rename', 'delete', 'replace', 'insert'].map((event) => `mark_${event}`),
        ...['insert', 'update', 'rename', 'delete'].map((event) => `log_${event}`),
      ]
        .map((name) => `DROP TRIGGER nodes_${name}`)
        .join(';'),
    },
    named: ['trigger nodes_mark_delete', 'trigger nodes_mark_replace', 'trigger nodes_log_insert'],
  },
  {
    title: 'a trigger, which now does something else',
    sql: {
      sqlite: `DROP TRIGGER nodes_mark_update; CREATE TRIGGER nodes_mark_update AFTER UPDATE ON nodes BEGIN SELECT 1; END`,
    },
    named: ['trigger nodes_mark_update'],
  },
  {
    title: 'a trigger, which is disabled',
    sql: { postgresql: 'ALTER TABLE nodes DISABLE TRIGGER nodes_mark_update' },
    named: ['trigger nodes_mark_update'],
  },
  {
    title: 'a function, and with it the triggers',
    sql: { postgresql: 'DROP FUNCTION meshstore_mark_policies, meshstore_mark_nodes CASCADE' },
    named: ['trigger policies_mark_insert', 'trigger nodes_mark_truncate'],
  },
  {
    title: 'a table that was built anew by hand',
    sql: BY_HAND,
    named: ['trigger nodes_mark_update', 'trigger nodes_log_delete', 'CONSTRAINT nodes_interfaces_json'],
  },
  {
    title: 'a CHECK',
    sql: { postgresql: 'ALTER TABLE path_cache DROP CONSTRAINT path_cache_k' },
    named: ['CONSTRAINT path_cache_k'],
  },
  {
    title: 'a primary key',
    sql: { postgresql: 'ALTER TABLE policies DROP CONSTRAINT policies_pkey' },
    named: ['PRIMARY KEY'],
  },
]

async function filled(make: () => Promise<Scratch> | Scratch): Promise<Scratch> {
  const scratch = await make()
  await up(scratch.url)
  await scratch.query(rowsFor(scratch.dialect))
  return scratch
}

const ourRows = async ({ query }: Scratch): Promise<object[]> => [
  ...(await query('SELECT * FROM nodes ORDER BY node_id')),
  ...(await query('SELECT * FROM policies')),
]

eachDialect('a database that has lost something', (dialect, make) => {
  describe.each(LOSSES.filter(({ sql }) => sql[dialect] !== undefined))('$title', ({ sql, named }) => {
    test('is not opened, is named by status and check, and is repaired once', async () => {
      await using scratch = await filled(make)
      const [catalog, rows] = [await scratch.catalog(), await ourRows(scratch)]
      await scratch.query(sql[dialect] ?? '')
      const before = await scratch.snapshot()
      const { url } = scratch
      const ways: StorageOptions[] = [{ url }, { url, migrate: 'check' }, { url, readOnly: true }]
      for (const options of ways) {
        const { message } = await expectCode(openStorage(options), 'SCHEMA_MISMATCH')
        for (const name of named) expect(message).toContain(name)
        expect(message).toContain('meshstore migrate repair')
      }
      await expectCode(up(url), 'SCHEMA_MISMATCH')
      const { findings } = await check(url)
      const errors = findings.filter((each) => each.check === 'schema' && each.severity === 'error')
      const [first = ''] = named
      expect(errors.map(({ message, advice }) => `${message} ${advice}`).join('\n')).toMatch(
        new RegExp(`${first}[^]*meshstore migrate repair`),
      )
      const dry = await runInside(['migrate', 'repair', '--dry-run', '--json', '--url', url])
      expect(dry).toMatchObject({ code: 3, stderr: '' })
      expect(await scratch.snapshot()).toBe(before)

      const done = await runInside(['migrate', 'repair', '--json', '--no-backup', '--url', url])
      expect(done).toMatchObject({ code: 0, stderr: '' })
      const [planned, repaired] = [dry, done].map(({ stdout }) => new Set(JSON.parse(stdout).repaired))
      expect(repaired).toEqual(planned)
      expect(JSON.parse(done.stdout)).toMatchObject({ remaining: [] })
      expect(await inspect(url)).toMatchObject({ state: 'current', drift: [], others: [] })
      expect(await ourRows(scratch)).toEqual(rows)
      // Columns keep their numbers, unless the table was made by hand.
      expect(new Set(await scratch.catalog())).toEqual(new Set(catalog))
      await (await openStorage(url)).close()

      const again = await runInside(['migrate', 'repair', '--url', url])
      expect(again).toEqual({ code: 0, stderr: '', stdout: 'The tables are as their migrations made them.\n' })
    })
  })

  test('an index, and a column more, are reported, and do not keep it from being opened', async () => {
    await using scratch = await filled(make)
    await scratch.query('DROP INDEX idx_nodes_started; ALTER TABLE policies ADD COLUMN region text')
    await (await openStorage(scratch.url)).close()
    const { repaired, remaining } = await repair(scratch.url)
    expect(repaired).toMatchObject([{ table: 'nodes', part: 'index', kind: 'missing' }])
    expect(remaining).toMatchObject([{ table: 'policies', part: 'column', kind: 'unexpected' }])
    const { code, stdout } = await runInside(['migrate', 'repair', '--url', scratch.url])
    expect({ code, stdout }).toMatchObject({ code: 4, stdout: expect.stringMatching(/by hand:\n.*region/) })
  })

  test('serves no path that its missing trigger would have dropped, and tells subscribers that they missed changes', async () => {
    await using scratch = await filled(make)
    const key = { source: 'a', destination: 'b', k: 3 }
    const before = await openStorage(scratch.url)
    expect(await before.pathCache.get(key)).toBeDefined()
    const changes = before.changes()
    const after = await changes.ready()
    await before.close()

    const trigger = dialect === 'sqlite' ? 'nodes_mark_update' : 'nodes_mark_update ON nodes'
    await scratch.query(`DROP TRIGGER ${trigger}`)
    await scratch.query(`UPDATE nodes SET started = ${dialect === 'sqlite' ? 0 : false} WHERE node_id = 'gw-1'`)
    await repair(scratch.url)
    await using store = await openStorage(scratch.url)
    expect(await store.pathCache.get(key)).toBeUndefined()
    await expectCode(store.changes({ after }).ready(), 'CHANGES_MISSED')
    // And from then on they are told everything again.
    await using fresh = store.changes()
    await fresh.ready()
    await store.nodes.update('gw-1', { started: true })
    // The sweep deletes the dropped path meanwhile, which is told as well.
    let told = await fresh.next()
    while (told.value?.table === 'path_cache') told = await fresh.next()
    expect(told.value).toMatchObject({ table: 'nodes', key: 'gw-1', operation: 'update' })
  })

  test('repaired while it is open: its path is not served, and its subscriber gets CHANGES_MISSED', async () => {
    await using scratch = await filled(make)
    await using store = await openStorage(scratch.url)
    const key = { source: 'a', destination: 'b', k: 3 }
    await using changes = store.changes()
    await changes.ready()
    expect((await store.health()).problems).toEqual([])
    const trigger = dialect === 'sqlite' ? 'nodes_mark_update' : 'nodes_mark_update ON nodes'
    await scratch.query(`DROP TRIGGER ${trigger}`)
    const { problems, canRead, canWrite } = await store.health()
    expect({ canRead, canWrite }).toEqual({ canRead: true, canWrite: true })
    expect(problems).toEqual([
      { code: 'SCHEMA_MISMATCH', message: expect.stringContaining('trigger nodes_mark_update') },
    ])
    await repair(scratch.url)
    expect((await store.health()).problems).toEqual([])
    expect(await store.pathCache.get(key)).toBeUndefined()
    await expectCode(changes.next(), 'CHANGES_MISSED')
  })

  test('rows that break a CHECK are named by check, and nothing is changed', async () => {
    await using scratch = await filled(make)
    await scratch.query(BY_HAND[dialect])
    await scratch.query(`UPDATE nodes SET interfaces = '{}' WHERE node_id = 'gw-1'`)
    const before = await scratch.snapshot()
    const { message } = await expectCode(repair(scratch.url, { backup: false }), 'SCHEMA_MISMATCH')
    expect(message).toMatch(/Nothing was changed.*meshstore check/)
    expect(await scratch.snapshot()).toBe(before)
    const { findings } = await check(scratch.url)
    expect(findings).toContainEqual(expect.objectContaining({ check: 'rows', table: 'nodes', key: 'gw-1' }))
    await scratch.query(`UPDATE nodes SET interfaces = '[]' WHERE node_id = 'gw-1'`)
    await repair(scratch.url, { backup: false })
    await (await openStorage(scratch.url)).close()
  })

  test('a table that is gone is refused: its rows are in a backup alone', async () => {
    await using scratch = await filled(make)
    await scratch.query('DROP TABLE policies')
    const before = await scratch.snapshot()
    await expectCode(openStorage(scratch.url), 'SCHEMA_MISMATCH')
    const { message } = await expectCode(repair(scratch.url), 'SCHEMA_MISMATCH')
    expect(message).toMatch(/policies.*Restore a backup/)
    expect(await scratch.snapshot()).toBe(before)
  })

  test('a new database, and one without its ledger, are refused, with what to run instead', async () => {
    await using scratch = await make()
    await scratch.query('CREATE TABLE theirs (a integer)')
    expect((await expectCode(repair(scratch.url), 'CONFIG')).message).toContain('meshstore migrate up')
    await scratch.query(readFileSync(join(root, `drizzle/${dialect}.sql`), 'utf8'))
    expect((await expectCode(repair(scratch.url), 'SCHEMA_MISMATCH')).message).toContain('meshstore migrate adopt')
  })
})

describe('a SQLite file whose table is built anew', () => {
  test('is copied first, and keeps what refers to it', async () => {
    await using scratch = await filled(sqliteScratch)
    await scratch.query(`CREATE TABLE links (node TEXT REFERENCES nodes (node_id) ON DELETE CASCADE);
      INSERT INTO links VALUES ('gw-1'); CREATE VIEW running AS SELECT node_id FROM nodes WHERE started`)
    // As a person does who does not want the cascade.
    await scratch.query(
      `PRAGMA foreign_keys = OFF; ${BY_HAND.sqlite.replace('DROP TABLE', 'DROP VIEW running; DROP TABLE')}`,
    )
    await scratch.query(
      'CREATE VIEW running AS SELECT node_id FROM nodes WHERE started; CREATE INDEX theirs ON nodes (updated_at)',
    )
    const { backup } = await repair(scratch.url)
    expect(backup).toContain('.before-repair-')
    expect(await scratch.query('SELECT node FROM links')).toEqual([{ node: 'gw-1' }])
    expect(await scratch.query('SELECT count(*) AS n FROM running')).toEqual([{ n: 2 }])
    expect((await inspect(scratch.url)).others).toContain('index theirs on nodes')
  })

  test('is left as it is where a trigger of others would go with it, which is named', async () => {
    await using scratch = await filled(sqliteScratch)
    await scratch.query(BY_HAND.sqlite)
    await scratch.query('CREATE TRIGGER watching AFTER DELETE ON nodes BEGIN SELECT 1; END')
    const before = await scratch.snapshot()
    const { message } = await expectCode(repair(scratch.url, { backup: false }), 'SCHEMA_MISMATCH')
    expect(message).toMatch(/watching.*Drop them/)
    expect(await scratch.snapshot()).toBe(before)
  })
})

describePostgres('on PostgreSQL', () => {
  test('the triggers that every open looks for are those of the migrations', async () => {
    await using scratch = await filled(postgresScratch)
    const triggers = await scratch.query<{ name: string; table: string }>(
      `SELECT tgname::text AS name, relname::text AS "table" FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
       WHERE NOT tgisinternal ORDER BY 1`,
    )
    expect(triggers.length).toBeGreaterThan(20)
    for (const { name, table } of triggers) {
      await scratch.query(`ALTER TABLE ${table} DISABLE TRIGGER ${name}`)
      const { message } = await expectCode(openStorage(scratch.url), 'SCHEMA_MISMATCH')
      expect(message).toContain(`Missing: ${table} (trigger ${name}).`)
      await scratch.query(`ALTER TABLE ${table} ENABLE TRIGGER ${name}`)
    }
    await (await openStorage(scratch.url)).close()
  })

  test('another body of a function is found by status, and is repaired', async () => {
    await using scratch = await filled(postgresScratch)
    await scratch.query(
      'CREATE OR REPLACE FUNCTION meshstore_mark_nodes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
    )
    const { drift } = await inspect(scratch.url)
    expect(drift).toContainEqual({
      table: 'nodes',
      part: 'trigger',
      kind: 'missing',
      what: 'trigger nodes_mark_delete',
    })
    await repair(scratch.url)
    expect(await inspect(scratch.url)).toMatchObject({ drift: [] })
  })

  test('a role with DML alone compares, without temporary tables too, and does not repair', async () => {
    await using scratch = await filled(postgresScratch)
    await runGrants(scratch.url)
    await scratch.query(`REVOKE TEMPORARY ON DATABASE ${new URL(scratch.url).pathname.slice(1)} FROM PUBLIC`)
    await using role = await createAppRole(inject('postgresUrl'))
    const url = role.urlOf(scratch.url)
    await (await openStorage(url)).close()
    await using store = await openStorage(url)
    await scratch.query('DROP TRIGGER nodes_log_insert ON nodes')
    expect((await store.health()).problems).toMatchObject([{ code: 'SCHEMA_MISMATCH' }])
    expect((await expectCode(openStorage(url), 'SCHEMA_MISMATCH')).message).toContain('trigger nodes_log_insert')
    expect(await inspect(url)).toMatchObject({ drift: [{ table: 'nodes', what: 'trigger nodes_log_insert' }] })
    expect((await expectCode(repair(url), 'CONFIG')).message).toMatch(/owner/)
    await repair(scratch.url)
    await (await openStorage(url)).close()
  })

  test('what is in a schema of another name is repaired there', async () => {
    await using scratch = await postgresScratch()
    const name = new URL(scratch.url).pathname.slice(1)
    await scratch.query(`CREATE SCHEMA "Mixed-Case"; ALTER DATABASE ${name} SET search_path = "Mixed-Case", public`)
    await up(scratch.url)
    await scratch.query(
      'DROP FUNCTION "Mixed-Case".meshstore_mark_nodes CASCADE; DROP INDEX "Mixed-Case".idx_nodes_started',
    )
    await expectCode(openStorage(scratch.url), 'SCHEMA_MISMATCH')
    await repair(scratch.url)
    expect(await inspect(scratch.url)).toMatchObject({ drift: [] })
    await using store = await openStorage(scratch.url)
    await store.nodes.save({ nodeId: 'a', interfaces: [], protocols: [] })
    await store.nodes.delete('a')
  })
})
