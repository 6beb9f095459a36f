/** An application's own table, as `import` and `require()` find what describes it. */
const assert = require('node:assert/strict')
const { mkdirSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')

exports.useOwnTables = async ({ openStorage }, { schema, table }, { real, sqliteTable, text }, { eq }, folder) => {
  const migrations = join(folder, 'drizzle')
  mkdirSync(join(migrations, 'sqlite', 'meta'), { recursive: true })
  const journal = { entries: [{ idx: 0, tag: '0000_links', when: 1_767_225_600_000 }] }
  writeFileSync(join(migrations, 'sqlite', 'meta', '_journal.json'), JSON.stringify(journal))
  const sql =
    'CREATE TABLE links (link_id text PRIMARY KEY NOT NULL, source text NOT NULL, cost real DEFAULT 1 NOT NULL)'
  writeFileSync(join(migrations, 'sqlite', '0000_links.sql'), sql)

  const links = sqliteTable('links', {
    linkId: text('link_id').primaryKey().notNull(),
    source: text('source').notNull(),
    cost: real('cost').notNull().default(1),
  })
  const app = schema({ links: table({ sqlite: links, key: 'linkId', invalidates: { through: ['source'] } }) })
  const bySource = app.query()('links.bySource', (db, tables, p) =>
    db.select({ cost: tables.links.cost }).from(tables.links).where(eq(tables.links.source, p.source)),
  )
  const store = await openStorage({ url: join(folder, 'own.db'), tables: app, migrations })
  await store.transaction(async (tx) => {
    await tx.nodes.create({ nodeId: 'gw-1', interfaces: [], protocols: [] })
    await tx.tables.links.create({ linkId: 'l', source: 'gw-1' })
  })
  assert.deepEqual(await store.query(bySource, { source: 'gw-1' }), [{ cost: 1 }])
  assert.equal(await store.tables.links.updateMany({ source: 'gw-1' }, { cost: 2 }), 1)
  assert.deepEqual(await store.tables.links.get('l'), { linkId: 'l', source: 'gw-1', cost: 2 })
  await store.close()
}
