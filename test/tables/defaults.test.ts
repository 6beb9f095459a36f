/** Defaults as drizzle-kit writes them: rows that were there before read like rows that the store makes. */
import { execFile } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Meshstore } from '../../src/index.ts'
import type { SchemaOf } from '../../src/tables/define.ts'
import { schema, table } from '../../src/tables-entry.ts'
import * as pg from '../../src/tables-postgres-entry.ts'
import * as lite from '../../src/tables-sqlite-entry.ts'
import { temporaryFolder } from '../support/folders.ts'
import { eachLastingBackend } from '../support/settings.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')

/** The values of the columns that the second migration adds. */
const VALUES = {
  at: new Date(-1_795_000_000_125),
  tags: ["it's", '"quoted"', '\\'],
  plan: { rooms: ["it's"], of: null, n: 1.5 },
  note: "it's",
  up: true,
  cost: 1.5,
  n: -3,
}
const MORE = `
  at: time('at').notNull().default(new Date(${VALUES.at.getTime()})),
  tags: list('tags').notNull().default(${JSON.stringify(VALUES.tags)}),
  plan: json('plan').notNull().default(${JSON.stringify(VALUES.plan)}),
  note: text('note').notNull().default(${JSON.stringify(VALUES.note)}),
  up: boolean('up').notNull().default(${VALUES.up}),
  cost: real('cost').notNull().default(${VALUES.cost}),
  n: integer('n').notNull().default(${VALUES.n}),`

const liteLeases = lite.sqliteTable('leases', {
  id: lite.text('id').primaryKey().notNull(),
  at: lite.time('at').notNull().default(VALUES.at),
  tags: lite.list('tags').notNull().default(VALUES.tags),
  plan: lite.json('plan').notNull().default(VALUES.plan),
  note: lite.text('note').notNull().default(VALUES.note),
  up: lite.boolean('up').notNull().default(VALUES.up),
  cost: lite.real('cost').notNull().default(VALUES.cost),
  n: lite.integer('n').notNull().default(VALUES.n),
})
const pgLeases = pg.pgTable('leases', {
  id: pg.text('id').primaryKey().notNull(),
  at: pg.time('at').notNull().default(VALUES.at),
  tags: pg.list('tags').notNull().default(VALUES.tags),
  plan: pg.json('plan').notNull().default(VALUES.plan),
  note: pg.text('note').notNull().default(VALUES.note),
  up: pg.boolean('up').notNull().default(VALUES.up),
  cost: pg.real('cost').notNull().default(VALUES.cost),
  n: pg.integer('n').notNull().default(VALUES.n),
})
const app = schema({ leases: table({ sqlite: liteLeases, postgres: pgLeases, key: 'id' }) })

const folder = temporaryFolder()
afterAll(() => folder[Symbol.dispose]())
const migrations = folder.file('drizzle')

beforeAll(async () => {
  symlinkSync(join(root, 'node_modules'), folder.file('node_modules'))
  writeFileSync(folder.file('package.json'), '{ "type": "module" }')
  mkdirSync(migrations)
  for (const [dialect, entry, make] of [
    ['sqlite', 'sqlite', 'sqliteTable'],
    ['postgresql', 'postgres', 'pgTable'],
  ] as const) {
    const generate = (name: string, more: string, ...how: string[]): Promise<unknown> => {
      writeFileSync(
        folder.file(`${entry}.ts`),
        `import { boolean, integer, json, list, real, ${make}, text, time } from '${root}/src/tables-${entry}-entry.ts'
export const leases = ${make}('leases', { id: text('id').primaryKey().notNull(),${more} })\n`,
      )
      const options = ['--dialect', dialect, '--schema', `${entry}.ts`, '--out', `drizzle/${dialect}`, '--name', name]
      const kit = join(root, 'node_modules/drizzle-kit/bin.cjs')
      return run(process.execPath, [kit, 'generate', ...options, ...how], { cwd: folder.path })
    }
    await generate('first', '')
    await generate('rows', '', '--custom')
    // The row is there when the other columns come.
    writeFileSync(join(migrations, dialect, '0001_rows.sql'), `INSERT INTO leases (id) VALUES ('old');`)
    await generate('more', MORE)
  }
}, 120_000)

eachLastingBackend('defaults that drizzle-kit writes', (backend) => {
  test('an old row, one of another program, of a statement and of the repository are alike', async () => {
    await using opened = await backend.open({ tables: app, migrations })
    const { tables, run: write } = opened.store as unknown as Meshstore<SchemaOf<typeof app.tables>>
    await opened.other.execute(`INSERT INTO leases (id) VALUES ('other')`)
    await write(app.change()('leases.put', (db, { leases }) => db.insert(leases).values({ id: 'run' })))
    expect(await tables.leases.create({ id: 'created' })).toEqual({ id: 'created', ...VALUES })
    await tables.leases.save({ id: 'saved' })
    expect(await tables.leases.list()).toEqual(
      ['created', 'old', 'other', 'run', 'saved'].map((id) => ({ id, ...VALUES })),
    )
  })
})
