/** `meshstore migrate status` says how the tables of a SQLite file differ from what their migrations made. */
import { describe, expect, test } from 'vitest'
import { HERE, migrate, migrated, statusOf } from './support/commands.ts'
import { rowsFor, type Scratch, sqliteScratch, using } from './support/databases.ts'

/** Another program's hand in the catalog: what ALTER TABLE cannot do. */
const rewrite =
  (table: string, from: string, to: string) =>
  ({ path }: Scratch): void =>
    using(path, (raw) => {
      raw.unsafeMode()
      raw.pragma('writable_schema = ON')
      const { changes } = raw
        .prepare('UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ? AND instr(sql, ?) > 0')
        .run(from, to, table, from)
      if (changes !== 1) throw new Error(`${table} does not hold ${from}`)
      raw.pragma('writable_schema = RESET')
    })

/** The index of a primary key that is none any more. */
const withoutAutomaticIndex = ({ path }: Scratch): void =>
  using(path, (raw) => {
    raw.unsafeMode()
    raw.pragma('writable_schema = ON')
    raw.exec("DELETE FROM sqlite_schema WHERE name = 'sqlite_autoindex_nodes_1'")
    raw.pragma('writable_schema = RESET')
  })

const sql =
  (text: string) =>
  (scratch: Scratch): Promise<unknown> =>
    scratch.query(text)

const COUNT = '`routes_discovered` integer DEFAULT 0 NOT NULL'
const K = `CONSTRAINT "path_cache_k" CHECK(typeof("path_cache"."k") = 'integer' AND "path_cache"."k" >= 1),`

type Expected = readonly [table: string, kind: string, what: RegExp]

const CHANGES: readonly (readonly [string, (scratch: Scratch) => unknown, ...Expected[]])[] = [
  ['a table less', sql('DROP TABLE policies'), ['policies', 'missing', /the table/]],
  ['our own table less', sql('DROP TABLE meshstore_state'), ['meshstore_state', 'missing', /the table/]],
  ['a column more', sql('ALTER TABLE nodes ADD COLUMN region TEXT'), ['nodes', 'unexpected', /^region TEXT$/i]],
  [
    'a column less',
    sql('ALTER TABLE meshstore_state DROP COLUMN updated_at'),
    ['meshstore_state', 'missing', /^updated_at real NOT NULL$/],
  ],
  [
    'a column of another name',
    sql('ALTER TABLE policies RENAME COLUMN yaml_content TO yaml'),
    ['policies', 'missing', /^trigger policies_mark_update$/],
    ['policies', 'missing', /^yaml_content text NOT NULL$/],
    ['policies', 'unexpected', /^another trigger policies_mark_update$/],
    ['policies', 'unexpected', /^yaml text NOT NULL$/],
  ],
  [
    'a column of another type',
    rewrite('nodes', COUNT, COUNT.replace('integer', 'real')),
    ['nodes', 'missing', /^routes_discovered integer/],
    ['nodes', 'unexpected', /^routes_discovered real/],
  ],
  [
    'another default',
    rewrite('nodes', COUNT, COUNT.replace('0', '1')),
    ['nodes', 'missing', /DEFAULT 0 NOT NULL$/],
    ['nodes', 'unexpected', /DEFAULT 1 NOT NULL$/],
  ],
  [
    'a default less',
    rewrite('nodes', COUNT, COUNT.replace(' DEFAULT 0', '')),
    ['nodes', 'missing', /DEFAULT 0/],
    ['nodes', 'unexpected', /^routes_discovered integer NOT NULL$/],
  ],
  [
    'a column that may be NULL',
    rewrite('policies', '`rules_count` integer NOT NULL', '`rules_count` integer'),
    ['policies', 'missing', /^rules_count integer NOT NULL$/],
    ['policies', 'unexpected', /^rules_count integer$/],
  ],
  [
    'columns in another order',
    rewrite(
      'path_cache',
      '`source` text NOT NULL,\n\t`destination` text NOT NULL',
      '`destination` text NOT NULL,\n\t`source` text NOT NULL',
    ),
    ['path_cache', 'order', /^cache_key, destination, source, k,/],
  ],
  ['a CHECK less', rewrite('path_cache', K, ''), ['path_cache', 'missing', /^CONSTRAINT path_cache_k CHECK/]],
  [
    'another CHECK',
    rewrite('path_cache', '>= 1', '>= 0'),
    ['path_cache', 'missing', />= 1/],
    ['path_cache', 'unexpected', />= 0/],
  ],
  [
    'a CHECK more',
    rewrite('path_cache', K, `${K} CONSTRAINT more CHECK(k < 9),`),
    ['path_cache', 'unexpected', /^CONSTRAINT more/],
  ],
  [
    'a CHECK that differs inside of a text alone',
    rewrite('path_cache', "'integer'", "'Integer'"),
    ['path_cache', 'missing', /'integer'/],
    ['path_cache', 'unexpected', /'Integer'/],
  ],
  [
    'no primary key',
    (scratch) => {
      rewrite('nodes', '`node_id` text PRIMARY KEY NOT NULL', '`node_id` text NOT NULL')(scratch)
      withoutAutomaticIndex(scratch)
    },
    ['nodes', 'missing', /^node_id text PRIMARY KEY/],
    ['nodes', 'unexpected', /^node_id text NOT NULL$/],
  ],
  ['an index less', sql('DROP INDEX idx_cache_expires'), ['path_cache', 'missing', /INDEX idx_cache_expires/]],
  [
    'an index of the same name on other columns',
    sql('DROP INDEX idx_cache_source_dest; CREATE INDEX idx_cache_source_dest ON path_cache (destination, source)'),
    ['path_cache', 'missing', /path_cache\(source,destination\)/],
    ['path_cache', 'unexpected', /path_cache\(destination,source\)/],
  ],
  [
    'an index of the same name that is unique',
    sql('DROP INDEX idx_nodes_started; CREATE UNIQUE INDEX idx_nodes_started ON nodes (started, node_id)'),
    ['nodes', 'missing', /CREATE INDEX/],
    ['nodes', 'unexpected', /CREATE UNIQUE INDEX/],
  ],
  [
    'an index of the same name on another table',
    sql('DROP INDEX idx_nodes_started; CREATE INDEX idx_nodes_started ON policies (rules_count)'),
    ['nodes', 'missing', /idx_nodes_started/],
  ],
]

const CASES = CHANGES.map(([title, change, ...expected]) => ({ title, change, expected }))

async function filled(): Promise<Scratch> {
  const scratch = sqliteScratch()
  await migrated(HERE, scratch.url, 'up')
  return scratch
}

describe('drift of a SQLite file', () => {
  test.each(CASES)('$title is found and named', async ({ change, expected }) => {
    await using scratch = await filled()
    await change(scratch)
    const before = await scratch.snapshot()
    const status = await statusOf(HERE, scratch.url)
    const found = status.drift?.map(({ table, kind, what }) => [table, kind, what])
    expect(found?.toSorted()).toEqual(
      expected.map(([table, kind, what]) => [table, kind, expect.stringMatching(what)]).toSorted(),
    )
    expect(status).toMatchObject({ code: 4, state: 'current' })
    const { code, stdout } = await migrate(HERE, scratch.url, 'status')
    expect({ code, stdout }).toMatchObject({ code: 4, stdout: expect.stringContaining('are not as their migrations') })
    for (const [table, , what] of expected)
      expect(stdout).toMatch(new RegExp(`  ${table}: .*${what.source.replace(/^\^/, '')}`, 'im'))
    expect(await scratch.snapshot()).toBe(before)
  })

  test('is none where rows alone differ, nor where the catalog is only typed in another way', async () => {
    await using scratch = await filled()
    await scratch.query(rowsFor('sqlite'))
    rewrite('policies', '`policy_id` text', '"policy_id"   text')(scratch)
    await scratch.query(
      'DROP INDEX idx_nodes_started; CREATE INDEX "idx_nodes_started" ON "nodes" ("started", "node_id")',
    )
    await scratch.query('ANALYZE')
    expect(await statusOf(HERE, scratch.url)).toMatchObject({ code: 0, drift: [], others: [] })
  })

  test('is none of what others have there, which is listed', async () => {
    await using scratch = await filled()
    await scratch.query(`CREATE TABLE "their table" (a INTEGER PRIMARY KEY AUTOINCREMENT, b REFERENCES nodes (node_id));
      CREATE INDEX theirs ON nodes (updated_at);
      CREATE INDEX "on theirs" ON "their table" (b);
      CREATE TRIGGER watching AFTER DELETE ON policies BEGIN DELETE FROM "their table"; END;
      CREATE VIEW started AS SELECT * FROM nodes WHERE started;
      CREATE VIRTUAL TABLE words USING fts5 (word);`)
    const { others, ...status } = await statusOf(HERE, scratch.url)
    expect(status).toMatchObject({ code: 0, state: 'current', drift: [] })
    expect(others).toEqual(
      expect.arrayContaining([
        'table their table',
        'index theirs on nodes',
        'trigger watching on policies',
        'table words',
      ]),
    )
    const { stdout } = await migrate(HERE, scratch.url, 'status')
    expect(stdout).toMatch(/^Also there, of others:\n( {2}.*\n)+/m)
    expect(stdout).toContain('The tables are as their migrations made them.')
  })

  test('does not keep anybody from opening, or from migrating', async () => {
    await using scratch = await filled()
    await scratch.query('ALTER TABLE nodes ADD COLUMN region TEXT')
    expect(await migrate(HERE, scratch.url, 'up')).toMatchObject({ code: 0, stdout: 'Nothing was pending.\n' })
  })

  test('of a new file is none: there is nothing yet', async () => {
    await using scratch = sqliteScratch()
    await scratch.query('CREATE TABLE theirs (a)')
    const status = await statusOf(HERE, scratch.url)
    expect(status).toMatchObject({ code: 3, state: 'new', applied: [], drift: [], others: ['table theirs'] })
  })
})
