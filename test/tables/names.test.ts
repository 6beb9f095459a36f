/** Names that SQL would read as something else: words of the language, and delimiters of the texts that functions are made of. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { Meshstore } from '../../src/index.ts'
import type { SchemaOf } from '../../src/tables/define.ts'
import { schema, table } from '../../src/tables-entry.ts'
import * as pg from '../../src/tables-postgres-entry.ts'
import * as lite from '../../src/tables-sqlite-entry.ts'
import { all } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, node } from '../support/samples.ts'
import { eachLastingBackend } from '../support/settings.ts'

const NAMES = ['select', 'x$do$', 'x$create$y', 'x$body$']

const app = schema(
  Object.fromEntries(
    NAMES.map((name) => [
      name,
      table({
        sqlite: lite.sqliteTable(name, {
          group: lite.text('group').primaryKey().notNull(),
          order: lite.text('order'),
          Table: lite.integer('Table').notNull().default(0),
        }),
        postgres: pg.pgTable(name, {
          group: pg.text('group').primaryKey().notNull(),
          order: pg.text('order'),
          Table: pg.integer('Table').notNull().default(0),
        }),
        key: 'group',
        invalidates: { through: ['order'] },
      }),
    ]),
  ),
)
type AppStore = Meshstore<SchemaOf<typeof app.tables>>

const migrations = temporaryFolder()
afterAll(() => migrations[Symbol.dispose]())
for (const [dialect, text] of Object.entries({ sqlite: 'text', postgresql: 'text COLLATE "C"' })) {
  mkdirSync(migrations.file(dialect, 'meta'), { recursive: true })
  const entries = [{ idx: 0, version: '7', when: 1_795_000_000_000, tag: '0000_names', breakpoints: true }]
  writeFileSync(migrations.file(dialect, 'meta/_journal.json'), JSON.stringify({ version: '7', dialect, entries }))
  const statements = NAMES.map(
    (name) =>
      `CREATE TABLE "${name}" ("group" ${text} PRIMARY KEY NOT NULL, "order" ${text}, "Table" integer NOT NULL DEFAULT 0)`,
  )
  writeFileSync(join(migrations.path, dialect, '0000_names.sql'), statements.join(';\n--> statement-breakpoint\n'))
}

eachLastingBackend('names', (backend) => {
  test.each(NAMES)('%s is written, listed, streamed, and drops cached paths', async (name) => {
    await using opened = await backend.open({ tables: app, migrations: migrations.path })
    const store = opened.store as unknown as AppStore
    const rows = store.tables[name]
    if (rows === undefined) throw new Error(`There is no repository of ${name}.`)
    await using changes = store.changes()
    await changes.ready()
    await store.nodes.createMany([node('a'), node('z')])
    const key = { source: 'a', destination: 'z', k: 1 }
    await store.pathCache.set(key, bundle('a', 'z'))
    await rows.create({ group: '1', order: null })
    expect(await store.pathCache.get(key)).toBeDefined()
    await rows.update('1', { order: 'a', Table: 7 })
    expect(await store.pathCache.get(key)).toBeUndefined()
    expect(await rows.list({ where: { order: 'a' }, orderBy: 'group' })).toEqual([{ group: '1', order: 'a', Table: 7 }])
    expect(await all(rows.iterate())).toHaveLength(1)
    await rows.delete('1')
    const seen: string[] = []
    for await (const { table, key: of, operation } of changes) {
      if (table === name) seen.push(`${of} ${operation}`)
      if (operation === 'delete') break
    }
    expect(seen).toEqual(['1 insert', '1 update', '1 delete'])
  })
})
