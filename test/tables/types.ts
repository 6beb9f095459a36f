/** Checked by the compiler: what an application may write, and what it may not. */
import { type Meshstore, openStorage } from '../../src/index.ts'
import { eq } from '../../src/query-entry.ts'
import { table } from '../../src/tables-entry.ts'
import { integer, pgTable, text, time } from '../../src/tables-postgres-entry.ts'
import * as postgres from './app/postgres.ts'
import { app } from './app/schema.ts'
import * as sqlite from './app/sqlite.ts'
import * as statements from './app/statements.ts'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const is = <_T extends true>(): void => {}

export const differing = () => {
  const wrong = pgTable('sites', {
    siteId: text('site_id').primaryKey().notNull(),
    name: time('name').notNull(),
    floors: integer('floors'),
  })
  // @ts-expect-error `name` has other values, `floors` may be NULL, and `plan` is missing
  table({ sqlite: sqlite.sites, postgres: wrong, key: 'siteId' })
  // @ts-expect-error the key must be a text
  table({ sqlite: sqlite.sites, postgres: postgres.sites, key: 'floors' })
  // @ts-expect-error no such column
  table({ sqlite: sqlite.sites, key: 'siteId', rules: { nope: () => undefined } })
  // @ts-expect-error a rule takes the column's value
  table({ sqlite: sqlite.sites, key: 'siteId', rules: { floors: (value: string) => value } })
  // @ts-expect-error a column of numbers names no nodes
  table({ sqlite: sqlite.sites, key: 'siteId', invalidates: { through: ['floors'] } })
  // @ts-expect-error a parameter of another type than its column
  app.query<{ since: string }>()('x', (db, { links }, p) => db.select().from(links).where(eq(links.createdAt, p.since)))
  // @ts-expect-error a change is no query
  app.query()('y', (db, { links }) => db.delete(links))
  // @ts-expect-error a query is no change
  app.change()('z', (db, { links }) => db.select().from(links))
  // @ts-expect-error a builder builds, and runs nothing
  app.query()('w', (db) => db.run('DROP TABLE nodes'))
}

export async function uses(): Promise<void> {
  await using store = await openStorage({ url: ':memory:', tables: app, migrations: './drizzle' })
  const link = await store.tables.links.create({ linkId: 'l', source: 'a', target: 'b', tags: [] })
  is<Equal<(typeof link)['createdAt'], Date>>()
  is<Equal<(typeof link)['siteId'], string | null>>()
  is<Equal<(typeof link)['tags'], string[]>>()
  const site = await store.tables.sites.create({ siteId: 's', name: 'n' })
  is<Equal<(typeof site)['plan'], { readonly rooms: string[] } | null>>()
  // @ts-expect-error `target` is missing
  await store.tables.links.create({ linkId: 'l', source: 'a', tags: [] })
  // @ts-expect-error not a column
  await store.tables.links.list({ where: { nope: 1 } })
  // @ts-expect-error lists are not compared
  await store.tables.links.list({ where: { tags: ['x'] } })
  await store.tables.links.list({ where: { source: ['a', 'b'], isUp: true, siteId: null }, after: 'x' })
  await store.tables.links.list({ orderBy: 'cost', after: link })
  // @ts-expect-error no order by a column that may be NULL
  await store.tables.links.list({ orderBy: 'siteId' })
  // @ts-expect-error the key cannot be changed
  await store.tables.links.update('l', { linkId: 'x' })
  await store.tables.links.update('l', { cost: 2 }, { ifUpdatedAt: link.updatedAt })
  // @ts-expect-error sites have no `updatedAt`
  await store.tables.sites.update('s', { floors: 2 }, { ifUpdatedAt: link.updatedAt })
  // @ts-expect-error no such table
  store.tables.nothing

  const [joined] = await store.query(statements.withOwners, { cost: 1 })
  is<
    Equal<NonNullable<typeof joined>['nodes'], typeof import('../../src/schema/sqlite.ts').nodes.$inferSelect | null>
  >()
  const [end] = await store.query(statements.ends)
  is<Equal<typeof end, { linkId: string; isUp: boolean; started: boolean | null; at: Date | null } | undefined>>()
  const [degree] = await store.query(statements.degrees, { least: 1 })
  is<Equal<typeof degree, { nodeId: string; degree: number } | undefined>>()
  const taken = await store.transaction((tx) =>
    tx.run(statements.takeDown, { source: 'a', now: new Date(), site: null }),
  )
  is<Equal<(typeof taken)['rows'], { linkId: string; isUp: boolean; updatedAt: Date }[]>>()
  const ids = await store.query((db, { links }) => db.select({ id: links.linkId }).from(links))
  is<Equal<typeof ids, { id: string }[]>>()
  // @ts-expect-error a parameter is missing
  await store.query(statements.degrees)
  // @ts-expect-error a change is no query
  await store.query(statements.takeDown, { source: 'a', now: new Date(), site: null })

  const plain: Meshstore = await openStorage(':memory:')
  // @ts-expect-error no tables were given
  plain.tables.links
  // A function for any store takes one with tables.
  const anyStore = (any: Meshstore): Meshstore => any
  anyStore(store)
}
