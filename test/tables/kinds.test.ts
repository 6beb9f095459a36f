/** A table with every kind of column, with defaults, NULLs and a unique pair, one with a key alone, and one that refers to both. */
import { randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import type { Meshstore } from '../../src/index.ts'
import { and, asc, eq, exists, inArray, sql } from '../../src/query-entry.ts'
import type { SchemaOf } from '../../src/tables/define.ts'
import { schema, table } from '../../src/tables-entry.ts'
import * as pg from '../../src/tables-postgres-entry.ts'
import * as lite from '../../src/tables-sqlite-entry.ts'
import { all, expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, node } from '../support/samples.ts'
import { eachLastingBackend } from '../support/settings.ts'

interface Plan {
  rooms: string[]
}
const liteKinds = lite.sqliteTable(
  'kinds',
  {
    id: lite.text('id').primaryKey().notNull(),
    a: lite.text('a').notNull(),
    b: lite.text('b').notNull(),
    maybe: lite.boolean('maybe'),
    n: lite.integer('n').default(7),
    at: lite.time('at').notNull().default(new Date(1_000)),
    tags: lite.list('tags').notNull().default(['x']),
    plan: lite.json('plan').$type<Plan>().notNull().default({ rooms: [] }),
    order: lite.text('order'),
  },
  (columns) => [lite.uniqueIndex('kinds_ab').on(columns.a, columns.b)],
)
const pgKinds = pg.pgTable(
  'kinds',
  {
    id: pg.text('id').primaryKey().notNull(),
    a: pg.text('a').notNull(),
    b: pg.text('b').notNull(),
    maybe: pg.boolean('maybe'),
    n: pg.integer('n').default(7),
    at: pg.time('at').notNull().default(new Date(1_000)),
    tags: pg.list('tags').notNull().default(['x']),
    plan: pg.json('plan').$type<Plan>().notNull().default({ rooms: [] }),
    order: pg.text('order'),
  },
  (columns) => [pg.uniqueIndex('kinds_ab').on(columns.a, columns.b)],
)
/** What the default of `wrong` gives next. */
const nextWrong: { value: string } = { value: 'w' }
const app = schema({
  kinds: table({ sqlite: liteKinds, postgres: pgKinds, key: 'id' }),
  bare: table({
    sqlite: lite.sqliteTable('bare', { key: lite.text('key').primaryKey().notNull() }),
    postgres: pg.pgTable('bare', { key: pg.text('key').primaryKey().notNull() }),
    key: 'key',
  }),
  children: table({
    sqlite: lite.sqliteTable('children', {
      id: lite.text('id').primaryKey().notNull(),
      kind: lite.text('kind').references(() => liteKinds.id),
      owner: lite.text('owner').references(() => lite.nodes.nodeId, { onDelete: 'cascade' }),
      end: lite.text('end'),
    }),
    postgres: pg.pgTable('children', {
      id: pg.text('id').primaryKey().notNull(),
      kind: pg.text('kind').references(() => pgKinds.id),
      owner: pg.text('owner').references(() => pg.nodes.nodeId, { onDelete: 'cascade' }),
      end: pg.text('end'),
    }),
    key: 'id',
    invalidates: { through: ['end'] },
  }),
  leases: table({
    sqlite: lite.sqliteTable('leases', {
      id: lite.text('id').primaryKey().notNull(),
      token: lite
        .text('token')
        .notNull()
        .$defaultFn(() => randomUUID()),
      wrong: lite.text('wrong').$defaultFn(() => nextWrong.value),
    }),
    postgres: pg.pgTable('leases', {
      id: pg.text('id').primaryKey().notNull(),
      token: pg
        .text('token')
        .notNull()
        .$defaultFn(() => randomUUID()),
      wrong: pg.text('wrong').$defaultFn(() => nextWrong.value),
    }),
    key: 'id',
  }),
})

const migrations = temporaryFolder()
afterAll(() => migrations[Symbol.dispose]())
for (const [dialect, { text, flag, time, list }] of Object.entries({
  sqlite: { text: 'text', flag: 'integer', time: 'real', list: 'text' },
  postgresql: { text: 'text COLLATE "C"', flag: 'boolean', time: 'double precision', list: 'jsonb' },
})) {
  mkdirSync(migrations.file(dialect, 'meta'), { recursive: true })
  const entries = [{ idx: 0, version: '7', when: 1_795_000_000_000, tag: '0000_kinds', breakpoints: true }]
  writeFileSync(migrations.file(dialect, 'meta/_journal.json'), JSON.stringify({ version: '7', dialect, entries }))
  const statements = [
    `CREATE TABLE kinds (id ${text} PRIMARY KEY NOT NULL, a ${text} NOT NULL, b ${text} NOT NULL, maybe ${flag}, n integer DEFAULT 7,
     at ${time} NOT NULL DEFAULT 1, tags ${list} NOT NULL DEFAULT '["x"]', plan text NOT NULL DEFAULT '{"rooms":[]}', "order" ${text})`,
    'CREATE UNIQUE INDEX kinds_ab ON kinds (a, b)',
    `CREATE TABLE bare (key ${text} PRIMARY KEY NOT NULL)`,
    `CREATE TABLE children (id ${text} PRIMARY KEY NOT NULL, kind ${text} REFERENCES kinds (id),
     owner ${text} REFERENCES nodes (node_id) ON DELETE CASCADE, "end" ${text})`,
    `CREATE TABLE leases (id ${text} PRIMARY KEY NOT NULL, token ${text} NOT NULL, wrong ${text})`,
  ]
  writeFileSync(join(migrations.path, dialect, '0000_kinds.sql'), statements.join(';\n--> statement-breakpoint\n'))
}

const put = app.change<{ id: string; a: string; b: string }>()('kinds.put', (db, { kinds }, p) =>
  db.insert(kinds).values({ id: p.id, a: p.a, b: p.b }).returning(),
)
const change = app.change<{ plan: Plan; tags: string[]; at: Date; maybe: boolean | null }>()(
  'kinds.change',
  (db, { kinds }, { plan, tags, at, maybe }) => db.update(kinds).set({ plan, tags, at, maybe }).returning(),
)
const found = app.query<{ b: string; ids: string[]; at: Date }>()('kinds.found', (db, { kinds }, p) => {
  const some = db.$with('some').as(db.select({ id: kinds.id }).from(kinds).where(eq(kinds.b, p.b)))
  return db
    .with(some)
    .select({ id: kinds.id, plan: kinds.plan })
    .from(kinds)
    .innerJoin(some, eq(some.id, kinds.id))
    .where(
      and(
        inArray(kinds.id, p.ids),
        eq(kinds.at, p.at),
        exists(db.select({ one: sql`1` }).from(kinds).where(eq(kinds.b, p.b))),
      ),
    )
    .orderBy(asc(kinds.order), asc(kinds.id))
})

const three = ['1', '2', '3'].map((id) => ({ id, a: id, b: 'b' }))

eachLastingBackend('own tables of every kind', (backend) => {
  const open = async () => {
    const opened = await backend.open({ tables: app, migrations: migrations.path })
    const store = opened.store as unknown as Meshstore<SchemaOf<typeof app.tables>>
    return { ...store.tables, store, other: opened.other, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() }
  }

  test('a row that is returned is the caller’s, and so is a default', async () => {
    await using database = await open()
    const { kinds } = database
    const first = await kinds.create({ id: '1', a: '1', b: 'b' })
    expect(first).toEqual(await kinds.get('1'))
    first.plan.rooms.push('changed')
    first.tags.push('changed')
    first.at.setTime(5)
    const second = await kinds.create({ id: '2', a: '2', b: 'b' })
    expect(second).toMatchObject({ plan: { rooms: [] }, tags: ['x'], at: new Date(1_000), n: 7, maybe: null })
    expect(await kinds.get('2')).toEqual(second)
  })

  test('what the caller changes after a call is not written', async () => {
    await using database = await open()
    const { kinds, store } = database
    const [plan, tags, at] = [{ rooms: ['a'] }, ['t'], new Date(7_000)]
    const spoil = (): void => {
      plan.rooms.push('later')
      tags.push('later')
      at.setTime(0)
    }
    const reset = (): void => {
      plan.rooms = ['a']
      tags.length = 1
      at.setTime(7_000)
    }
    const given = { plan, tags, at }
    const kept = { plan: { rooms: ['a'] }, tags: ['t'], at: new Date(7_000) }
    const calls = [
      () => kinds.create({ id: '1', a: '1', b: 'b', ...given }),
      () => kinds.createMany([{ id: '2', a: '2', b: 'b', ...given }]),
      () => kinds.save({ id: '3', a: '3', b: 'b', ...given }),
      () => kinds.update('3', given),
      () => kinds.updateMany({ b: 'b' }, given),
      () => store.run(change, { ...given, maybe: null }),
    ]
    for (const call of calls) {
      reset()
      const calling = call()
      spoil()
      const returned = await calling
      if (typeof returned === 'object' && 'plan' in returned) expect(returned).toMatchObject(kept)
      for (const row of await kinds.list()) expect(row).toMatchObject(kept)
    }
    expect(await kinds.count()).toBe(3)
  })

  test('a transaction goes on after what the database has refused', async () => {
    await using database = await open()
    await database.store.transaction(async (tx) => {
      const { kinds, children } = tx.tables
      await kinds.create({ id: '1', a: 'a', b: 'b' })
      await expectCode(tx.run(put, { id: '2', a: 'a', b: 'b' }), 'ALREADY_EXISTS')
      await expectCode(kinds.save({ id: '3', a: 'a', b: 'b' }), 'ALREADY_EXISTS')
      const many = ['c', 'b'].map((b) => ({ id: b, a: 'a', b }))
      await expectCode(kinds.createMany(many), 'ALREADY_EXISTS')
      await expectCode(children.create({ id: '1', kind: 'none' }), 'CONFLICT')
      expect((await tx.run(put, { id: '4', a: 'z', b: 'b' })).rows).toMatchObject([{ id: '4', plan: { rooms: [] } }])
      expect(await kinds.updateMany({ id: ['1', '9'] }, { n: null, order: 'o' })).toBe(1)
    })
    expect((await database.kinds.list({ where: { n: null } })).map(({ id }) => id)).toEqual(['1'])
    expect(await database.kinds.count()).toBe(2)
  })

  test('updateMany and deleteMany that one row does not allow change none', async () => {
    await using database = await open()
    const { kinds, children } = database
    await kinds.createMany(three)
    await children.create({ id: 'c', kind: '2' })
    const before = await kinds.list()
    await expectCode(kinds.deleteMany({ b: 'b' }), 'CONFLICT')
    await expectCode(kinds.updateMany({ b: 'b' }, { a: 'same' }), 'ALREADY_EXISTS')
    await expectCode(kinds.update('2', { a: '1' }), 'ALREADY_EXISTS')
    expect(await kinds.list()).toEqual(before)
  })

  test('an empty table, and one with a key alone', async () => {
    await using database = await open()
    const { bare } = database
    expect([await bare.list(), await bare.count(), await all(bare.iterate())]).toEqual([[], 0, []])
    expect([await bare.getMany(['a']), await bare.createMany([]), await bare.saveMany([])]).toEqual([[], [], []])
    expect(await bare.deleteMany({ key: [] })).toBe(0)
    expect(await bare.save({ key: 'a_b' }, { outcome: true })).toEqual({ row: { key: 'a_b' }, created: true })
    expect(await bare.save({ key: 'a_b' }, { outcome: true })).toEqual({ row: { key: 'a_b' }, created: false })
    expect(await bare.update('a_b', {})).toEqual({ key: 'a_b' })
    await expectCode(bare.update('none', {}), 'NOT_FOUND')
    await expectCode(bare.createMany([{ key: 'q' }, { key: 'q' }]), 'ALREADY_EXISTS')
    const keys = ['a%b', 'axb', 'a', 'A%b', 'ä', '\u{1f600}', '\u{1f600}x', "a'", 'a\\b', 'a"']
    await bare.createMany(keys.map((key) => ({ key })))
    for (const prefix of ['a%', 'a_', 'a', 'ä', '\u{1f600}', "a'", 'a\\', 'a"'])
      expect((await bare.list({ prefix })).map(({ key }) => key).toSorted(), prefix).toEqual(
        [...keys, 'a_b'].filter((key) => key.startsWith(prefix)).toSorted(),
      )
  })

  test('pages and iterations go on while rows are deleted', async () => {
    await using database = await open()
    const { kinds } = database
    await kinds.createMany(
      Array.from({ length: 300 }, (_, n) => ({ id: `k${n}`, a: `${n % 3}`, b: `${n}`, order: `${n % 2}` })),
    )
    const seen: string[] = []
    let page = await kinds.list({ orderBy: 'a', limit: 50 })
    while (page.length > 0) {
      seen.push(...page.map(({ id }) => id))
      await kinds.delete(page.at(-1)?.id ?? '')
      page = await kinds.list({ orderBy: 'a', limit: 50, after: page.at(-1) })
    }
    expect([seen.length, new Set(seen).size]).toEqual([300, 300])
    const left = await kinds.count({ order: '0' })
    const iterated: string[] = []
    for await (const { id } of kinds.iterate({ where: { order: '0' } })) {
      iterated.push(id)
      if (iterated.length % 7 === 0) await kinds.delete(id)
    }
    expect([iterated.length, new Set(iterated).size]).toEqual([left, left])
  })

  test('parameters that are used again, an empty list, and values of other types', async () => {
    await using database = await open()
    const { store, kinds } = database
    await kinds.createMany(three.map((row) => ({ ...row, order: row.id === '1' ? 'x' : null })))
    const at = new Date(1_000)
    const ids = (rows: readonly { readonly id: string }[]): string[] => rows.map(({ id }) => id)
    expect(ids(await store.query(found, { b: 'b', ids: ['3', '1', '2'], at }))).toEqual(['2', '3', '1'])
    expect(await store.query(found, { b: 'b', ids: [], at })).toEqual([])
    for (const [wrong, code] of [
      [{ at: 'x' }, 'VALIDATION'],
      [{ b: undefined }, 'MISUSE'],
    ] as const)
      await expectCode(store.query(found, { b: 'b', ids: ['1'], at, ...wrong } as never), code)
  })

  test('a function that gives a default is called at each run of a statement, for each row', async () => {
    await using database = await open()
    const { store, leases } = database
    const take = app.change<{ first: string; second: string }>()('leases.take', (db, { leases: rows }, p) =>
      db
        .insert(rows)
        .values([{ id: p.first }, { id: p.second, wrong: 'given' }])
        .returning(),
    )
    for (const at of [1, 3]) await store.run(take, { first: `${at}`, second: `${at + 1}` })
    await leases.create({ id: '5' })
    const rows = await leases.list()
    expect(rows.map(({ wrong }) => wrong)).toEqual(['w', 'given', 'w', 'given', 'w'])
    expect(new Set(rows.map(({ token }) => token)).size).toBe(5)
    try {
      nextWrong.value = 'a\0b'
      const error = await expectCode(store.run(take, { first: '6', second: '7' }), 'VALIDATION')
      expect(error.message).toContain('The value for leases.wrong in the statement app:leases.take')
    } finally {
      nextWrong.value = 'w'
    }
    expect(await leases.count()).toBe(5)
  })

  test('a row that another program has spoilt is CORRUPT, and can be deleted', async () => {
    await using database = await open()
    const { kinds, other } = database
    await kinds.createMany(three)
    for (const spoilt of [`plan = 'no json'`, `plan = '{}', tags = '{"a": 1}'`]) {
      await other.execute(`UPDATE kinds SET ${spoilt} WHERE id = '2'`)
      await expectCode(kinds.get('2'), 'CORRUPT')
      await expectCode(kinds.list(), 'CORRUPT')
      await expectCode(kinds.update('2', { n: 3 }), 'CORRUPT')
    }
    expect(await kinds.updateMany({ b: 'b' }, { n: 3 })).toBe(3)
    expect(await kinds.delete('2')).toBe(true)
    expect((await kinds.list()).map(({ n }) => n)).toEqual([3, 3])
  })

  test('statements, other programs and cascades drop the cached paths of a changed row', async () => {
    await using database = await open()
    const { store, children, other } = database
    await store.nodes.createMany(['n', 'm', 'owner'].map((id) => node(id)))
    const key = { source: 'n', destination: 'm', k: 1 }
    const remove = app.change()('children.remove', (db, { children: rows }) => db.delete(rows))
    const changes = [
      () => store.run(remove),
      () => other.execute(`UPDATE children SET "end" = 'm' WHERE id = 'c'`),
      () => store.nodes.delete('owner'),
    ]
    for (const changing of changes) {
      await children.save({ id: 'c', owner: 'owner', end: 'n' })
      await store.pathCache.set(key, bundle('n', 'm'), { ttlSeconds: 60 })
      expect(await store.pathCache.get(key)).toBeDefined()
      await changing()
      expect(await store.pathCache.get(key)).toBeUndefined()
    }
    expect(await children.count()).toBe(0)
  })
})
