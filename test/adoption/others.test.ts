/** Tables, views and indexes of other programs stay in the file, and work. */
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { inspect, up } from '../../src/open/migrate.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { TAGS } from '../support/tags.ts'
import { bareDriver, contentOf, makeFile, reading } from './support/client.ts'
import { NODES, nodeRow, pathRow, policyRow } from './support/ddl.ts'
import { changingNothing } from './support/unchanged.ts'

const GOOD = [nodeRow(), nodeRow({ node_id: 'gw-2' }), policyRow(), pathRow()]
const BROKEN = nodeRow({ node_id: 'broken', started: 'maybe' })
const OURS =
  /^(sqlite_|meshstore_|__drizzle|nodes$|policies$|path_cache|idx_nodes_(started|updated)|idx_policies_updated|idx_cache_|idx_marks_|(nodes|policies)_(mark|log)_)/

/** Objects of others, and all rows of their tables. */
function othersIn(path: string): unknown {
  const raw = reading(path)
  const objects = raw
    .prepare<[], { type: string; name: string; sql: string }>('SELECT type, name, sql FROM sqlite_schema ORDER BY name')
    .all()
    .filter(({ name }) => !OURS.test(name))
  const rows = objects
    .filter(({ type }) => type === 'table' || type === 'view')
    .map(({ name }) => [name, raw.prepare(`SELECT * FROM "${name.replaceAll('"', '""')}"`).all()])
  const problems = raw.pragma('integrity_check')
  raw.close()
  return { objects, rows, problems }
}

async function fileWith(path: string, sql: string, rows = GOOD): Promise<string> {
  await makeFile(path, rows, { by: bareDriver })
  await using application = bareDriver.open(path)
  await application.execute(sql)
  return path
}

const OTHERS: Readonly<Record<string, string>> = {
  'a table': "CREATE TABLE links (a TEXT, b REAL); INSERT INTO links VALUES (1, 2.5), (NULL, x'00')",
  'a table with a counter': 'CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO log DEFAULT VALUES',
  'a table with odd names': 'CREATE TABLE "a""b; --" ("c d" TEXT); CREATE INDEX "i""j" ON "a""b; --"("c d")',
  'a view on nodes': 'CREATE VIEW running AS SELECT node_id, started FROM nodes WHERE started',
  'a view on all three':
    'CREATE VIEW everything AS SELECT n.node_id, p.k FROM nodes n, policies, path_cache p ON p.source = n.node_id',
  'a view that is broken already': 'CREATE TABLE t (a); CREATE VIEW broken AS SELECT a FROM t, nodes',
  'a trigger on a table of theirs that writes into ours':
    'CREATE TABLE events (id TEXT); CREATE TRIGGER seen AFTER INSERT ON events BEGIN UPDATE nodes SET started = 1 WHERE node_id = new.id; END',
  'an index': 'CREATE INDEX by_update ON nodes(updated_at DESC)',
  'a unique index': 'CREATE UNIQUE INDEX one_text ON policies(policy_id, rules_count)',
  'a partial index': 'CREATE INDEX running ON nodes(node_id) WHERE started = 1',
  'an index on expressions':
    "CREATE INDEX lengths ON path_cache(length(source) + k, json_extract(bundle_json, '$.source'))",
  'an index with another collation': 'CREATE INDEX "any case" ON nodes(node_id COLLATE NOCASE)',
  'an index that spells the table in capitals': 'CREATE INDEX loud ON NODES(created_at)',
}

describe.each(Object.entries(OTHERS))('%s', (_, sql) => {
  test('stays as it is', async () => {
    using folder = temporaryFolder()
    const path = await fileWith(folder.file('mesh.db'), sql)
    const [before, content] = [othersIn(path), contentOf(path)]
    const { backup = '' } = await up(path)
    expect(othersIn(path)).toEqual(before)
    expect(othersIn(backup)).toEqual(before)
    expect(contentOf(path)).toEqual(content)
    await using store = await openStorage(path)
    expect(await store.nodes.count()).toBe(2)
  })
})

test('indexes of others are named in the report, and work', async () => {
  using folder = temporaryFolder()
  const path = await fileWith(folder.file('mesh.db'), 'CREATE UNIQUE INDEX theirs ON nodes(interfaces, node_id)')
  const { adoption } = await up(path)
  expect(adoption?.indexes).toEqual(['theirs'])
  await using application = bareDriver.open(path)
  const plan = await application.query("EXPLAIN QUERY PLAN SELECT * FROM nodes WHERE interfaces = '[]'")
  expect(JSON.stringify(plan)).toContain('theirs')
})

test("an index of theirs with our index's name, on a table of theirs, is refused, and nothing is left behind", async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), [nodeRow()], {
    sql: `${NODES} CREATE TABLE sessions (expires_at REAL); CREATE INDEX idx_cache_expires ON sessions(expires_at)`,
  })
  const { message } = await changingNothing(folder.path, () => expectCode(openStorage(path), 'SCHEMA_MISMATCH'))
  expect(message).toContain('idx_cache_expires')
})

const REFERRING: Readonly<Record<string, string>> = {
  'with ON DELETE CASCADE': 'REFERENCES nodes(node_id) ON DELETE CASCADE ON UPDATE CASCADE',
  'with ON DELETE SET NULL': 'REFERENCES nodes ON DELETE SET NULL',
  'without an action': 'REFERENCES nodes(node_id)',
  deferred: 'REFERENCES nodes(node_id) DEFERRABLE INITIALLY DEFERRED',
}

describe.each(Object.entries(REFERRING))('rows of another table that refer to nodes, %s,', (_, references) => {
  const sql = `CREATE TABLE links (id INTEGER PRIMARY KEY, node TEXT ${references})`

  test('stay, and go on referring to them', async () => {
    using folder = temporaryFolder()
    const path = await fileWith(
      folder.file('mesh.db'),
      `${sql}; INSERT INTO links (node) VALUES ('gw-1'), ('gw-2'), (NULL)`,
    )
    const before = othersIn(path)
    await up(path)
    expect(othersIn(path)).toEqual(before)
    await using application = bareDriver.open(path)
    await application.execute('PRAGMA foreign_keys = ON')
    expect(await application.query('PRAGMA foreign_key_check')).toEqual([])
    await expect(application.execute("INSERT INTO links (node) VALUES ('nobody')")).rejects.toThrow('FOREIGN KEY')
  })

  test('and have lost their node before, do not stop it', async () => {
    using folder = temporaryFolder()
    const path = await fileWith(folder.file('mesh.db'), `${sql}; INSERT INTO links (node) VALUES ('gw-1'), ('nobody')`)
    const before = othersIn(path)
    await up(path)
    expect(othersIn(path)).toEqual(before)
  })
})

const LINKS = `CREATE TABLE links (node TEXT REFERENCES nodes(node_id) ON DELETE CASCADE);
  INSERT INTO links (node) VALUES ('gw-1'), ('broken');`
/** SQLite cannot check it: what it refers to is not unique. */
const UNCHECKABLE = 'CREATE TABLE other (a INTEGER REFERENCES policies(rules_count)); INSERT INTO other VALUES (1);'

test.each([
  ['', LINKS],
  [', also where another foreign key cannot be checked', LINKS + UNCHECKABLE],
])(
  'a row that others refer to is not put into the quarantine: nothing is changed, nothing left behind%s',
  async (_, sql) => {
    using folder = temporaryFolder()
    const path = await fileWith(folder.file('mesh.db'), sql, [...GOOD, BROKEN])
    const before = contentOf(path)
    const quarantine = folder.file('rows.ndjson')
    const error = await changingNothing(folder.path, async () => {
      const refused = await expectCode(up(path, { quarantine }), 'SCHEMA_MISMATCH')
      expect(contentOf(path)).toEqual(before)
      return refused
    })
    expect(error.message).toContain('foreign_key_check')
  },
)

test('a foreign key that cannot be checked stops nothing by itself', async () => {
  using folder = temporaryFolder()
  const path = await fileWith(folder.file('mesh.db'), UNCHECKABLE)
  const before = othersIn(path)
  await up(path)
  expect(othersIn(path)).toEqual(before)
})

test('others are named by status once the file is adopted', async () => {
  using folder = temporaryFolder()
  const path = await fileWith(
    folder.file('mesh.db'),
    'CREATE TABLE links (a); CREATE VIEW v AS SELECT 1; CREATE INDEX mine ON nodes(updated_at)',
  )
  await up(path)
  const { state, drift, others } = await inspect(path)
  expect({ state, drift }).toEqual({ state: 'current', drift: [] })
  expect(others.join()).toContain('links')
  expect(others.join()).toContain('mine')
})

test('a file of others without any of the three tables gets them', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), [], {
    sql: 'CREATE TABLE links (a); INSERT INTO links VALUES (1)',
  })
  const before = othersIn(path)
  const { adoption, applied } = await up(path)
  expect(adoption).toBeUndefined()
  expect(applied).toHaveLength(TAGS.length)
  expect(othersIn(path)).toEqual(before)
})
