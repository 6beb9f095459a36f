/** Tables that are not the client's are refused, with their reasons; nothing is changed, and nothing is left behind. */
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { adopt, inspect, up } from '../../src/open/migrate.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bareDriver, client, makeFile } from './support/client.ts'
import { DDL, NODES, PATH_CACHE, POLICIES } from './support/ddl.ts'
import { changingNothing } from './support/unchanged.ts'

const replaced = (from: string, to: string): string => {
  if (!DDL.includes(from)) throw new Error(`There is no ${from}.`)
  return DDL.replace(from, to)
}

/** Objects that are in the file, and what the message says of them. */
const REFUSED: readonly (readonly [name: string, sql: string, says: string])[] = [
  ['a further column', `${DDL} ALTER TABLE nodes ADD COLUMN region TEXT`, 'region'],
  ['a further column of the cache', `${DDL} ALTER TABLE path_cache ADD COLUMN hits INTEGER`, 'hits'],
  ['a generated column', `${DDL} ALTER TABLE policies ADD COLUMN size AS (length(yaml_content))`, 'size'],
  [
    'a column that is generated',
    replaced('rules_count INTEGER NOT NULL', 'rules_count INTEGER AS (1) STORED'),
    'rules_count',
  ],
  ['a missing column', replaced('  routes_discovered INTEGER DEFAULT 0,\n', ''), 'routes_discovered'],
  [
    'two missing columns',
    replaced('  yaml_content TEXT NOT NULL,\n  rules_count INTEGER NOT NULL,\n', ''),
    'rules_count',
  ],
  [
    'another order of columns',
    replaced(
      'interfaces TEXT NOT NULL,\n  protocols TEXT NOT NULL',
      'protocols TEXT NOT NULL,\n  interfaces TEXT NOT NULL',
    ),
    'order',
  ],
  ['another type', replaced('created_at REAL', 'created_at TIMESTAMP'), 'TIMESTAMP'],
  ['a type with another affinity', replaced('started BOOLEAN', 'started TEXT'), 'started'],
  ['no type', replaced('bundle_json TEXT', 'bundle_json'), 'bundle_json'],
  ['a blob for a text', replaced('yaml_content TEXT', 'yaml_content BLOB'), 'yaml_content'],
  ['no primary key', replaced('node_id TEXT PRIMARY KEY', 'node_id TEXT'), 'primary key'],
  [
    'a primary key of two',
    NODES +
      POLICIES +
      PATH_CACHE.replace('TEXT PRIMARY KEY', 'TEXT').replace(
        'expires_at REAL NOT NULL',
        'expires_at REAL NOT NULL, PRIMARY KEY (cache_key, k)',
      ),
    'primary key',
  ],
  [
    'WITHOUT ROWID',
    replaced('updated_at REAL NOT NULL\n);', 'updated_at REAL NOT NULL\n) WITHOUT ROWID;'),
    'WITHOUT ROWID',
  ],
  ['UNIQUE', replaced('source TEXT NOT NULL', 'source TEXT NOT NULL UNIQUE'), 'UNIQUE'],
  ['a foreign key', replaced('source TEXT NOT NULL', 'source TEXT NOT NULL REFERENCES nodes(node_id)'), 'foreign key'],
  [
    'a trigger',
    `${DDL} CREATE TRIGGER noting AFTER INSERT ON nodes BEGIN UPDATE policies SET rules_count = 0; END;`,
    'noting',
  ],
  [
    'a trigger that spells the table in capitals',
    `${DDL} CREATE TRIGGER noting AFTER DELETE ON Path_Cache BEGIN SELECT 1; END;`,
    'noting',
  ],
  [
    'several obstacles',
    `${DDL} ALTER TABLE nodes ADD COLUMN a; ALTER TABLE policies ADD COLUMN b`,
    'policies has the column b',
  ],
  [
    'a CHECK',
    replaced(
      'routes_discovered INTEGER DEFAULT 0',
      'routes_discovered INTEGER DEFAULT 0 CHECK (routes_discovered >= 0)',
    ),
    'CHECK',
  ],
  ['a COLLATE', replaced('node_id TEXT PRIMARY KEY', 'node_id TEXT COLLATE NOCASE PRIMARY KEY'), 'COLLATE'],
  ['a view in the place of a table', `${POLICIES}${PATH_CACHE} CREATE VIEW nodes AS SELECT 1 AS node_id`, 'nodes'],
  ['a virtual table', `${POLICIES} CREATE VIRTUAL TABLE nodes USING fts5(node_id)`, 'nodes'],
]

describe.each(REFUSED)('tables with %s', (_, sql, says) => {
  test('are refused by every way to adopt them, and nothing is changed', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [], { sql, by: bareDriver })
    await changingNothing(folder.path, async () => {
      expect(await inspect(path)).toMatchObject({ state: 'refused', problem: { code: 'SCHEMA_MISMATCH' } })
      const quarantine = folder.file('rows.ndjson')
      const opened = await expectCode(openStorage(path), 'SCHEMA_MISMATCH')
      expect(opened.message).toContain(says)
      await expectCode(up(path), 'SCHEMA_MISMATCH')
      await expectCode(up(path, { quarantine }), 'SCHEMA_MISMATCH')
    })
  })
})

test('adopt refuses them too, and does not say that nothing is to be done', async () => {
  using folder = temporaryFolder()
  const sql = `${DDL} ALTER TABLE nodes ADD COLUMN region TEXT`
  const path = await makeFile(folder.file('mesh.db'), [], { sql })
  await changingNothing(folder.path, async () => {
    const { message } = await expectCode(adopt(path), 'SCHEMA_MISMATCH')
    expect(message).toContain('region')
  })
})

test('what they are not is said with the table and the column', async () => {
  using folder = temporaryFolder()
  const sql = `${DDL} ALTER TABLE nodes ADD COLUMN region TEXT; ALTER TABLE policies DROP COLUMN rules_count`
  const path = await makeFile(folder.file('mesh.db'), [], { sql, by: client })
  const { message } = await expectCode(openStorage(path), 'SCHEMA_MISMATCH')
  expect(message).toBe(
    'Another program made the file, and its tables cannot be adopted: nodes has the column region, which is not ours; policies has no column rules_count. Nothing was changed. Use another file, or correct its tables.',
  )
})
