/** Descriptions that `table()` and `schema()` refuse and the compiler cannot. */
import { describe, expect, test } from 'vitest'
import { StorageError } from '../../src/index.ts'
import { type DefinedTable, schema, table } from '../../src/tables-entry.ts'
import * as pg from '../../src/tables-postgres-entry.ts'
import * as lite from '../../src/tables-sqlite-entry.ts'
import * as postgres from './app/postgres.ts'
import { app } from './app/schema.ts'
import * as sqlite from './app/sqlite.ts'

describe('table() and schema()', () => {
  const liteTable = (name: string, more: Record<string, ReturnType<typeof lite.text>> = {}) =>
    lite.sqliteTable(name, { id: lite.text('id').primaryKey().notNull(), ...more })
  const refused = (message: RegExp, make: () => unknown): void => {
    try {
      make()
    } catch (error) {
      expect(error).toBeInstanceOf(StorageError)
      expect((error as StorageError).code).toBe('CONFIG')
      expect((error as StorageError).message).toMatch(message)
      return
    }
    throw new Error(`It was not refused: ${message}`)
  }

  test.each(['nodes', 'meshstore_links', 'sqlite_links', 'pg_links', '__app_x', 'Links', 'my links'])(
    'refuse the name %s',
    (name) => refused(/its name/, () => table({ sqlite: liteTable(name), key: 'id' })),
  )

  test('refuse twins that the compiler cannot tell apart', () => {
    const twin = (id: ReturnType<typeof pg.text>, name = 'more') => pg.pgTable(name, { id: id.primaryKey().notNull() })
    refused(/is called other/, () =>
      table({ sqlite: liteTable('more'), postgres: twin(pg.text('id'), 'other'), key: 'id' }),
    )
    refused(/not the same column/, () =>
      table({ sqlite: liteTable('more'), postgres: twin(pg.text('key')), key: 'id' }),
    )
    const plain = pg.pgTable('more', { id: pg.text('id').primaryKey().notNull(), at: pg.real('at') })
    const time = lite.sqliteTable('more', { id: lite.text('id').primaryKey().notNull(), at: lite.time('at') })
    refused(/on PostgreSQL at must be double precision/, () =>
      table({ sqlite: time, postgres: plain as never, key: 'id' }),
    )
  })

  test('refuse a key that is no primary key, and defaults in SQL', () => {
    refused(/must be the primary key/, () =>
      table({ sqlite: liteTable('more', { name: lite.text('name').notNull() as never }), key: 'name' as never }),
    )
    const inSql = lite.sqliteTable('more', {
      id: lite.text('id').primaryKey().notNull(),
      at: lite.integer('at').default(lite.sql`(unixepoch())`),
    })
    refused(/default in SQL/, () => table({ sqlite: inSql, key: 'id' }))
  })

  test('refuse what JavaScript may give', () => {
    const sound = { sqlite: sqlite.links, postgres: postgres.links, key: 'linkId' }
    const given = (more: object): (() => unknown) => {
      const options = { ...sound, ...more }
      return () => table(options as never)
    }
    refused(/must be an object/, () => table(undefined as never))
    refused(/sqlite must be a table of sqliteTable/, given({ sqlite: postgres.links }))
    refused(/sqlite must be a table of sqliteTable/, given({ sqlite: undefined }))
    refused(/postgres must be a table of pgTable/, given({ postgres: sqlite.links }))
    refused(/^The table links: the option invalidate is not known\. Use sqlite, /, given({ invalidate: {} }))
    refused(/the option invalidates\.trough is not known/, given({ invalidates: { trough: ['source'] } }))
    refused(/invalidates must be an object/, given({ invalidates: 'source' }))
    refused(/invalidates\.through must be a list/, given({ invalidates: { through: 'source' } }))
    refused(/invalidates\.through must be a list/, given({ invalidates: {} }))
    refused(/invalidates\.columns must be a list/, given({ invalidates: { through: [], columns: 'cost' } }))
    refused(/the rule of cost must be a function/, given({ rules: { cost: 5 } }))
    refused(/rules must be an object/, given({ rules: null }))
    refused(/its key .* must be a text column/, given({ key: undefined }))
  })

  test('refuse $onUpdate(), a default that breaks the rules, and twins with different defaults', () => {
    const liteN = () => lite.integer('n' as string)
    const pgN = () => pg.integer('n' as string)
    const withN = (sqliteN: ReturnType<typeof liteN>, postgresN?: ReturnType<typeof pgN>) => () =>
      table({
        sqlite: lite.sqliteTable('more', { id: lite.text('id').primaryKey().notNull(), n: sqliteN }),
        ...(postgresN && {
          postgres: pg.pgTable('more', { id: pg.text('id').primaryKey().notNull(), n: postgresN }) as never,
        }),
        key: 'id',
      })
    const one = () => 1
    refused(/n has \$onUpdate\(\)/, withN(liteN().$onUpdate(one)))
    refused(/n has \$onUpdate\(\)/, withN(liteN().$default(one), pgN().$default(one).$onUpdateFn(one)))
    refused(/n has a default that no row may have/, withN(liteN().default(2.5)))
    refused(/n has a default that no row may have/, withN(liteN().default(null as never)))
    refused(/n differs between the twins in .* its default/, withN(liteN().default(1), pgN().default(2)))
    refused(/n differs between the twins in .* its default/, withN(liteN().default(1), pgN().$default(one)))
    withN(liteN().default(1), pgN().default(1))()
    for (const wrong of [lite.text('n' as string).default(5 as never), lite.time('n' as string).default('x' as never)])
      refused(/n has a default that no row may have/, withN(wrong as never))
    const objects = (rooms: string[]) => () =>
      table({
        sqlite: lite.sqliteTable('more', {
          id: lite.text('id').primaryKey().notNull(),
          at: lite.time('at').notNull().default(new Date(5)),
          plan: lite.json('plan').default({ rooms: ['a'] }),
        }),
        postgres: pg.pgTable('more', {
          id: pg.text('id').primaryKey().notNull(),
          at: pg.time('at').notNull().default(new Date(5)),
          plan: pg.json('plan').default({ rooms }),
        }),
        key: 'id',
      })
    objects(['a'])()
    refused(/plan differs between the twins in .* its default/, objects(['b']))
  })

  test('refuse foreign keys in a circle, or out of the schema', () => {
    const self = lite.sqliteTable(
      'more',
      { id: lite.text('id').primaryKey().notNull(), parent: lite.text('parent') },
      (columns) => [lite.foreignKey({ columns: [columns.parent], foreignColumns: [columns.id] })],
    )
    const more = table({ sqlite: self, key: 'id' })
    refused(/^The table more: .* in a circle.*Leave one .*check in the application/, () => schema({ more }))
    // The tables that refer to a circle are not in it.
    type Twin = ReturnType<typeof liteTable>
    const referring = (name: string, to: () => Twin): Twin =>
      liteTable(name, { other: lite.text('other' as string).references(() => to().id) })
    const described = (twin: Twin) => table({ sqlite: twin, key: 'id' })
    const first = described(referring('first', () => self as unknown as Twin))
    refused(/^The table more: /, () => schema({ first, more }))
    const second: Twin = referring('second', () => third)
    const third: Twin = referring('third', () => second)
    const fourth = described(referring('fourth', () => second))
    refused(/^The table second, third: /, () => schema({ fourth, second: described(second), third: described(third) }))
    const links = table({ sqlite: sqlite.links, postgres: postgres.links, key: 'linkId' })
    refused(/names sites, which is not in the schema/, () => schema({ links }))
    refused(/described twice/, () =>
      schema({ a: app.tables.sites, b: app.tables.sites } as Record<
        string,
        DefinedTable<typeof sqlite.sites, 'siteId'>
      >),
    )
  })
})
