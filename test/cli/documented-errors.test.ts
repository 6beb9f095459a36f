/** The `console` blocks of docs/reference/errors.md, run against a database in that state. */
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes } from '../support/samples.ts'
import { type Place, Transcripts } from '../support/transcripts.ts'

const errors = new Transcripts(join(import.meta.dirname, '../../docs/reference/errors.md'))
afterAll(() => errors[Symbol.dispose]())

const inSql =
  (sql: string) =>
  ({ file }: Place): void => {
    const raw = new Sqlite(file)
    raw.exec(sql)
    raw.close()
  }

const STATES: Readonly<Record<string, (place: Place) => unknown>> = {
  USAGE: () => {},
  INTERNAL: () => {},
  SCHEMA_NEWER: inSql(
    "INSERT INTO meshstore_state (name, value, updated_at) VALUES ('breaking:0009_split_nodes', 'nodes are in two tables', 0)",
  ),
  MIGRATION_EDITED: inSql(
    "UPDATE __drizzle_migrations SET hash = 'another' WHERE created_at = (SELECT max(created_at) FROM __drizzle_migrations)",
  ),
  // Another branch's, which noted its name as each new migration does.
  MIGRATION_MISSING: inSql(
    `INSERT INTO __drizzle_migrations (hash, created_at) SELECT 'theirs', min(created_at) + 1 FROM __drizzle_migrations;
     INSERT INTO meshstore_state (name, value, updated_at)
       SELECT 'migration:' || created_at, '0001_add_links', 0 FROM __drizzle_migrations WHERE hash = 'theirs'`,
  ),
  MIGRATION_OUT_OF_ORDER: inSql(
    'DELETE FROM __drizzle_migrations WHERE created_at = (SELECT created_at FROM __drizzle_migrations ORDER BY created_at LIMIT 1 OFFSET 2)',
  ),
  MOVED: async (place) => {
    const database = place.stack.use(await createDatabase())
    place.server = database.url
    await using store = await openStorage(place.file)
    await store.moveTo(database.url)
  },
}
/** interrupt.test.ts sends the signal, and expects this line. */
const ELSEWHERE = ['INTERRUPTED']

test('runs each block', () => {
  const withBlock = errors.sections.filter((section) => section.includes('\n```console\n'))
  const titles = withBlock.map((section) => section.split('\n')[0] ?? '')
  expect(titles.toSorted()).toEqual([...Object.keys(STATES), ...ELSEWHERE].toSorted())
  for (const section of errors.sections) expect(section).toMatch(/^```(?:ts|console)$/m)
})

test.each(Object.entries(STATES))('%s', async (title, state) => {
  if (title === 'MOVED' && process.env.DIALECTS === 'sqlite') {
    console.warn(`!! DIALECTS=sqlite: not tested: ${title}`)
    return
  }
  using folder = temporaryFolder()
  await using stack = new AsyncDisposableStack()
  const place = { path: folder.path, file: folder.file('mesh.db'), stack }
  const store = await openStorage(place.file)
  await store.nodes.createMany(manyNodes(20))
  await store.close()
  await errors.actOut(title, [state], place)
})
