/** `meshstore migrate status` says how the tables of a PostgreSQL database differ from what their migrations made. */
import { expect, inject, test } from 'vitest'
import { createAppRole, runGrants } from '../postgres/support/app-role.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { TAGS } from '../support/tags.ts'
import { HERE, migrate, migrated, opened, statusOf } from './support/commands.ts'
import { postgresScratch, rowsFor, type Scratch } from './support/databases.ts'

type Expected = readonly [table: string, kind: string, what: RegExp]

const CHANGES: readonly (readonly [string, string, ...Expected[]])[] = [
  ['a table less', 'DROP TABLE policies', ['policies', 'missing', /the table/]],
  ['our own table less', 'DROP TABLE meshstore_state', ['meshstore_state', 'missing', /the table/]],
  ['a column more', 'ALTER TABLE nodes ADD COLUMN region text', ['nodes', 'unexpected', /^region text$/]],
  [
    'a column less',
    'ALTER TABLE meshstore_state DROP COLUMN updated_at',
    ['meshstore_state', 'missing', /^updated_at double precision NOT NULL$/],
  ],
  [
    'a column of another name',
    'ALTER TABLE policies RENAME COLUMN yaml_content TO yaml',
    ['policies', 'missing', /^yaml_content text NOT NULL$/],
    ['policies', 'unexpected', /^yaml text NOT NULL$/],
  ],
  [
    'a column of another type',
    'ALTER TABLE nodes ALTER routes_discovered TYPE bigint',
    ['nodes', 'missing', /^routes_discovered integer/],
    ['nodes', 'unexpected', /^routes_discovered bigint/],
  ],
  [
    'a column of another length',
    'DROP TRIGGER policies_mark_update ON policies; ALTER TABLE policies ALTER yaml_content TYPE varchar(100)',
    ['policies', 'missing', /^trigger policies_mark_update$/],
    ['policies', 'missing', /^yaml_content text/],
    ['policies', 'unexpected', /^yaml_content character varying\(100\)/],
  ],
  [
    'another collation',
    'DROP TRIGGER nodes_mark_update ON nodes; ALTER TABLE nodes ALTER node_id TYPE text COLLATE "default"',
    ['nodes', 'missing', /^node_id text COLLATE "C"/],
    ['nodes', 'missing', /^trigger nodes_mark_update$/],
    ['nodes', 'unexpected', /^node_id text NOT NULL$/],
  ],
  [
    'another default',
    'ALTER TABLE nodes ALTER routes_discovered SET DEFAULT 1',
    ['nodes', 'missing', /DEFAULT 0$/],
    ['nodes', 'unexpected', /DEFAULT 1$/],
  ],
  [
    'a default less',
    'ALTER TABLE nodes ALTER routes_discovered DROP DEFAULT',
    ['nodes', 'missing', /DEFAULT 0$/],
    ['nodes', 'unexpected', /^routes_discovered integer NOT NULL$/],
  ],
  [
    'a column that may be NULL',
    'ALTER TABLE policies ALTER rules_count DROP NOT NULL',
    ['policies', 'missing', /^rules_count integer NOT NULL$/],
    ['policies', 'unexpected', /^rules_count integer$/],
  ],
  [
    'columns in another order',
    `ALTER TABLE policies RENAME rules_count TO moved;
     ALTER TABLE policies ADD rules_count integer NOT NULL; ALTER TABLE policies DROP moved`,
    ['policies', 'order', /^policy_id, yaml_content, created_at, updated_at, rules_count$/],
  ],
  [
    'a CHECK less',
    'ALTER TABLE path_cache DROP CONSTRAINT path_cache_k',
    ['path_cache', 'missing', /^CONSTRAINT path_cache_k CHECK/],
  ],
  [
    'another CHECK',
    'ALTER TABLE path_cache DROP CONSTRAINT path_cache_k; ALTER TABLE path_cache ADD CONSTRAINT path_cache_k CHECK (k >= 0)',
    ['path_cache', 'missing', />= 1/],
    ['path_cache', 'unexpected', />= 0/],
  ],
  [
    'a CHECK that holds for new rows alone',
    'ALTER TABLE path_cache DROP CONSTRAINT path_cache_k; ALTER TABLE path_cache ADD CONSTRAINT path_cache_k CHECK (k >= 1) NOT VALID',
    ['path_cache', 'missing', /k >= 1\)+$/],
    ['path_cache', 'unexpected', /NOT VALID$/],
  ],
  [
    'a UNIQUE more',
    'ALTER TABLE nodes ADD CONSTRAINT more UNIQUE (interfaces)',
    ['nodes', 'unexpected', /^CONSTRAINT more UNIQUE \(interfaces\)$/],
  ],
  ['no primary key', 'ALTER TABLE nodes DROP CONSTRAINT nodes_pkey', ['nodes', 'missing', /PRIMARY KEY \(node_id\)$/]],
  ['an index less', 'DROP INDEX idx_cache_expires', ['path_cache', 'missing', /INDEX idx_cache_expires/]],
  [
    'an index of the same name on other columns',
    'DROP INDEX idx_cache_source_dest; CREATE INDEX idx_cache_source_dest ON path_cache (destination, source)',
    ['path_cache', 'missing', /\(source, destination\)$/],
    ['path_cache', 'unexpected', /\(destination, source\)$/],
  ],
]

const CASES = CHANGES.map(([title, change, ...expected]) => ({ title, change, expected }))

async function filled(): Promise<Scratch> {
  const scratch = await postgresScratch()
  await migrated(HERE, scratch.url, 'up')
  return scratch
}

describePostgres('drift of a PostgreSQL database', () => {
  test.each(CASES)('$title is found and named', async ({ change, expected }) => {
    await using scratch = await filled()
    await scratch.query(change)
    const before = await scratch.snapshot()
    const status = await statusOf(HERE, scratch.url)
    const found = status.drift?.map(({ table, kind, what }) => [table, kind, what])
    expect(found?.toSorted()).toEqual(
      expected.map(([table, kind, what]) => [table, kind, expect.stringMatching(what)]).toSorted(),
    )
    expect(status).toMatchObject({ code: 4, state: 'current' })
    const { code, stdout } = await migrate(HERE, scratch.url, 'status')
    expect({ code, stdout }).toMatchObject({ code: 4, stdout: expect.stringContaining('are not as their migrations') })
    expect(await scratch.snapshot()).toBe(before)
  })

  test('is none right after the migration, with rows and without, and shows no temporary name', async () => {
    await using scratch = await filled()
    expect(await statusOf(HERE, scratch.url)).toMatchObject({ code: 0, drift: [], others: [] })
    await scratch.query(rowsFor('postgresql'))
    await scratch.query('VACUUM ANALYZE')
    expect(await statusOf(HERE, scratch.url)).toMatchObject({ code: 0, drift: [], others: [] })
    await scratch.query('DROP INDEX idx_cache_expires')
    expect(JSON.stringify((await statusOf(HERE, scratch.url)).drift)).not.toMatch(/pg_temp|public\./)
  })

  test('is none of what others have there, which is listed', async () => {
    await using scratch = await filled()
    await scratch.query(`CREATE TABLE "Their table" (a text COLLATE "C" REFERENCES nodes ON DELETE CASCADE);
      CREATE INDEX theirs ON nodes (updated_at);
      CREATE VIEW started AS SELECT * FROM nodes WHERE started;
      CREATE FUNCTION watching() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
      CREATE TRIGGER watching BEFORE INSERT ON policies FOR EACH ROW EXECUTE FUNCTION watching();
      CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.nodes (a integer)`)
    const { others, ...status } = await statusOf(HERE, scratch.url)
    expect(status).toMatchObject({ code: 0, state: 'current', drift: [] })
    expect(others.toSorted()).toEqual(['index theirs on nodes', 'table Their table', 'trigger watching on policies'])
    const { stdout } = await migrate(HERE, scratch.url, 'status')
    expect(stdout).toMatch(/^Also there, of others:\n( {2}.*\n)+/m)
  })

  test('of a new database is none', async () => {
    await using scratch = await postgresScratch()
    await scratch.query('CREATE TABLE theirs (a integer)')
    const status = await statusOf(HERE, scratch.url)
    expect(status).toMatchObject({ code: 3, state: 'new', applied: [], drift: [], others: ['table theirs'] })
  })

  test('is found by a role that may do no more than read and write rows', async () => {
    await using scratch = await filled()
    await runGrants(scratch.url)
    await using role = await createAppRole(inject('postgresUrl'))
    const url = role.urlOf(scratch.url)
    expect(await statusOf(HERE, url)).toMatchObject({ code: 0, state: 'current', drift: [], others: [] })
    await scratch.query('ALTER TABLE nodes ADD COLUMN region text')
    expect(await statusOf(HERE, url)).toMatchObject({ code: 4, drift: [{ table: 'nodes', kind: 'unexpected' }] })
  })

  test('is not found out by a role that may make no temporary tables, which is said and is no error', async () => {
    await using scratch = await filled()
    await runGrants(scratch.url)
    const { pathname } = new URL(scratch.url)
    await scratch.query(`REVOKE TEMPORARY ON DATABASE ${pathname.slice(1)} FROM PUBLIC`)
    await using role = await createAppRole(inject('postgresUrl'))
    const url = role.urlOf(scratch.url)
    const { drift, ...status } = await statusOf(HERE, url)
    expect(status).toMatchObject({ code: 0, state: 'current', applied: TAGS })
    expect(drift).toBeUndefined()
    const { code, stdout } = await migrate(HERE, url, 'status')
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('may not make temporary tables'),
    })
    expect(stdout).not.toContain('The tables are as their migrations made them')
    expect(await opened(HERE, url, 'apply', 'check')).toMatchObject([
      { nodes: ['apply'] },
      { nodes: ['apply', 'check'] },
    ])
  })

  test.each(['Mixed-Case', 'a "quoted" one', 'public.too'])('is none in a schema named %s', async (name) => {
    await using scratch = await postgresScratch()
    const quoted = `"${name.replaceAll('"', '""')}"`
    const { pathname } = new URL(scratch.url)
    await scratch.query(
      `CREATE SCHEMA ${quoted}; ALTER DATABASE ${pathname.slice(1)} SET search_path = ${quoted}, public`,
    )
    await migrated(HERE, scratch.url, 'up')
    expect(await statusOf(HERE, scratch.url)).toMatchObject({ code: 0, state: 'current', drift: [], others: [] })
    expect(await opened(HERE, scratch.url, 'check')).toEqual([{ nodes: ['check'] }])
    await scratch.query(`DROP INDEX ${quoted}.idx_cache_expires`)
    const { drift } = await statusOf(HERE, scratch.url)
    expect(drift).toMatchObject([{ table: 'path_cache', kind: 'missing' }])
  })

  test('is none when the tables are in a schema that is not the first of the search path', async () => {
    await using scratch = await filled()
    const { username } = new URL(scratch.url)
    // As "$user" in the usual search path, and without any of our tables.
    await scratch.query(`CREATE SCHEMA ${username}; CREATE TABLE ${username}.theirs (a integer)`)
    expect(await opened(HERE, scratch.url, 'check')).toEqual([{ nodes: ['check'] }])
    expect(await statusOf(HERE, scratch.url)).toMatchObject({ code: 0, state: 'current', drift: [] })
  })
})
