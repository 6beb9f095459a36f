/** The triggers that are made from the tables' descriptions are those of the released migrations. */
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { ALL_TABLES } from '../../src/schema/tables.ts'
import { postgresTriggersOf, sqliteTriggersOf } from '../../src/schema/trigger-sql.ts'
import { createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { temporaryFolder } from '../support/folders.ts'

const spaced = (sql: string): string => sql.replaceAll(/\s+/g, ' ').trim()
const OURS = ALL_TABLES.map(({ name }) => name)

test('on SQLite', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await (await openStorage(path)).close()
  const raw = new Sqlite(path, { readonly: true })
  const found = raw
    .prepare<[], { name: string; table: string; sql: string }>(
      "SELECT name, tbl_name AS 'table', sql FROM sqlite_schema WHERE type = 'trigger'",
    )
    .all()
  raw.close()
  const released = found
    .filter(({ name, table }) => name.startsWith(`${table}_log_`) || name.startsWith(`${table}_mark_`))
    .filter(({ table }) => OURS.some((name) => name === table))
    .map(({ sql }) => sql)
  const made = ALL_TABLES.flatMap((table) => sqliteTriggersOf(table))
  expect(made.map(spaced).toSorted()).toEqual(released.map(spaced).toSorted())
  expect(made.length).toBe(20)
})

/** Triggers, and the functions that they run. */
async function definitions(database: TestDatabase): Promise<string[]> {
  const rows = await database.query<{ definition: string }>(
    `SELECT pg_get_triggerdef(pg_trigger.oid) || pg_get_functiondef(tgfoid) AS definition
     FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
     WHERE NOT tgisinternal AND relname = ANY ($1) AND (tgname LIKE relname || '\\_log\\_%' OR tgname LIKE relname || '\\_mark\\_%')`,
    [OURS],
  )
  return rows.map(({ definition }) => spaced(definition)).toSorted()
}

describePostgres('on PostgreSQL', () => {
  test('they and their functions are the same', async () => {
    await using database = await createDatabase()
    await (await openStorage(database.url)).close()
    const released = await definitions(database)
    expect(released.length).toBe(19)
    for (const { name, invalidates } of ALL_TABLES) {
      for (const what of invalidates === undefined ? ['log'] : ['log', 'mark'])
        await database.query(`DROP FUNCTION meshstore_${what}_${name} CASCADE`)
    }
    expect(await definitions(database)).toEqual([])
    for (const table of ALL_TABLES) await database.query(postgresTriggersOf(table))
    expect(await definitions(database)).toEqual(released)
  })
})
