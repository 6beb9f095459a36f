/**
 * A table of the schema is in every place that names tables: one that is forgotten there loses its rows in an export, a copy,
 * a backup of PostgreSQL or a move, and no other test would notice. CONTRIBUTING.md says where.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { getTableColumns, getTableName, type Table } from 'drizzle-orm'
import { describe, expect, test } from 'vitest'
import { IS_FENCE } from '../../src/database/sqlite/fence.ts'
import { openStorage } from '../../src/index.ts'
import * as postgres from '../../src/schema/postgres.ts'
import * as sqlite from '../../src/schema/sqlite.ts'
import { ALL_TABLES, BOOKKEEPING } from '../../src/schema/tables.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { temporaryFolder } from '../support/folders.ts'
import { root } from './tree-copy.ts'

const namesOf = (tables: object): string[] => Object.values(tables).map((table: Table) => getTableName(table))
const columnsOf = (table: Table): string[] => Object.values(getTableColumns(table)).map(({ name }) => name)

const KEPT: readonly string[] = BOOKKEEPING
const DATA: readonly Table[] = Object.values(sqlite).filter((table) => !KEPT.includes(getTableName(table)))
const LOGGED = ['insert', 'update', 'delete'].flatMap((event) => namesOf(DATA).map((name) => `${name}_log_${event}`))
const GRANTED = readFileSync(join(root, 'drizzle/postgresql-grants.sql'), 'utf8').match(/public\.\w+/g) ?? []

test('both dialects have the same tables', () => {
  expect(namesOf(postgres).sort()).toEqual(namesOf(sqlite).sort())
})

test('every table may be read and written by the role of the application', () => {
  const names = new Set(GRANTED.map((name) => name.replace('public.', '')))
  expect([...names].sort()).toEqual(namesOf(sqlite).sort())
})

describe('every table with data, and each of its columns,', () => {
  const expected = Object.fromEntries(DATA.map((table) => [getTableName(table), columnsOf(table)]))

  test('is described, in the order of its columns', () => {
    const named = ALL_TABLES.map(({ name, columns }) => [name, columns.map((column) => column.name)])
    expect(Object.fromEntries(named)).toEqual(expected)
  })

  test('is fenced once it has moved', () => {
    for (const name of Object.keys(expected)) expect(IS_FENCE).toContain(`'${name}_moved_insert'`)
  })

  test('is in the change log on SQLite', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await (await openStorage(path)).close()
    const raw = new Sqlite(path, { readonly: true })
    const triggers = raw.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").pluck().all()
    raw.close()
    expect(triggers).toEqual(expect.arrayContaining(LOGGED))
  })
})

describePostgres('on PostgreSQL every table with data', () => {
  test('is in the change log', async () => {
    await using database = await createDatabase()
    await (await openStorage(database.url)).close()
    const triggers = await database.query<{ name: string }>('SELECT tgname::text AS name FROM pg_trigger')
    expect(triggers.map(({ name }) => name)).toEqual(expect.arrayContaining(LOGGED))
  })
})
