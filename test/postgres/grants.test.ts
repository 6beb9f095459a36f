/** A role that may do no more than read and write rows is enough, once somebody else has migrated. */
import pg from 'pg'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { check } from '../../src/check/index.ts'
import { openStorage } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { openApp } from '../tables/app/stages.ts'
import { type AppRole, createAppRole, runGrants } from './support/app-role.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { performAll } from './support/operations.ts'
import { describePostgres } from './support/suite.ts'

const FORBIDDEN = [
  'TRUNCATE nodes',
  'DROP TABLE nodes',
  'ALTER TABLE nodes ADD COLUMN more text',
  'ALTER TABLE nodes DISABLE TRIGGER ALL',
  'CREATE TABLE public.more (id integer)',
  'CREATE TABLE drizzle.more (id integer)',
  'CREATE SCHEMA more',
  'CREATE INDEX more ON nodes (routes_discovered)',
  'CREATE TRIGGER more BEFORE INSERT ON nodes EXECUTE FUNCTION suppress_redundant_updates_trigger()',
  'CREATE ROLE more',
  'CREATE DATABASE more',
  "INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('more', 1)",
  'DELETE FROM drizzle.__drizzle_migrations',
  "COPY nodes TO PROGRAM 'cat'",
  "COPY nodes FROM PROGRAM 'false'",
  "COPY nodes TO '/tmp/more'",
  "SELECT pg_read_file('postgresql.conf')",
  "SELECT lo_import('/etc/hostname')",
  'SELECT rolpassword FROM pg_authid',
  'SET ROLE :administrator',
  'SET ROLE pg_execute_server_program',
  "ALTER SYSTEM SET log_statement = 'all'",
]

const PRIVILEGE = '42501'
const UNDEFINED_OBJECT = '42704'

describePostgres('a role with the rights of the grants file', () => {
  let database: TestDatabase
  let role: AppRole
  beforeAll(async () => {
    database = await createDatabase()
    await (await openStorage(database.url)).close()
    await runGrants(database.url)
    role = await createAppRole(inject('postgresUrl'))
  })
  afterAll(async () => {
    await database[Symbol.asyncDispose]()
    await role[Symbol.asyncDispose]()
  })

  test('opens as always, and can do everything that a store does', async () => {
    await using store = await openStorage(role.urlOf(database.url))
    await performAll(store)
  })

  test('is all that there is to grant: every table of the migrations is named', async () => {
    const without = await database.query<{ name: string }>(
      `SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'S', 'v', 'm') AND n.nspname IN ('public', 'drizzle')
         AND NOT has_table_privilege('meshstore_app', c.oid, 'SELECT')`,
    )
    // The numbers of the ledger's rows: only who writes it needs them. The marks and the changes number themselves.
    expect(without.map(({ name }) => name).toSorted()).toEqual([
      'drizzle.__drizzle_migrations_id_seq',
      'meshstore_changes_seq_seq',
      'path_cache_marks_id_seq',
    ])
  })

  test('can be granted again', async () => {
    const grants = 'SELECT relname, relacl::text FROM pg_class WHERE relacl IS NOT NULL ORDER BY relname'
    const before = await database.query(grants)
    await runGrants(database.url)
    expect(await database.query(grants)).toEqual(before)
  })

  test.for(FORBIDDEN)('is refused: %s', async (statement) => {
    const client = new pg.Client(role.urlOf(database.url))
    await client.connect()
    const [administrator] = await database.query<{ name: string }>('SELECT quote_ident(current_user) AS name')
    const sql = statement.replace(':administrator', administrator?.name ?? '')
    const failure = await client.query(sql).then(
      () => 'it was done',
      (error: { code?: string }) => error.code,
    )
    await client.end()
    expect(failure).toBe(PRIVILEGE)
  })

  test('is refused every extension that would be there to create', async () => {
    const extensions = await database.query<{ name: string }>(
      'SELECT name FROM pg_available_extensions WHERE installed_version IS NULL ORDER BY name',
    )
    const client = new pg.Client(role.urlOf(database.url))
    await client.connect()
    const codes: (string | undefined)[] = []
    for (const { name } of extensions) {
      const outcome = await client.query(`CREATE EXTENSION "${name}"`).then(
        () => 'created',
        (error: { code?: string }) => error.code,
      )
      codes.push(outcome)
    }
    await client.end()
    const refused = codes.filter((code) => code === PRIVILEGE).length
    console.log(`CREATE EXTENSION: ${refused} of ${extensions.length} refused for want of rights`)
    expect(refused).toBeGreaterThan(0)
    // Some are not asked about rights at all, because they need another one first.
    expect(codes.filter((code) => code !== PRIVILEGE && code !== UNDEFINED_OBJECT)).toEqual([])
  })

  test('says what is missing when something is pending', async () => {
    await using empty = await createDatabase()
    const error = await expectCode(openStorage(role.urlOf(empty.url)), 'CONFIG')
    expect(error.message).toContain('postgresql-grants.sql')
  })

  test('says what is missing when nothing was granted', async () => {
    await using migrated = await createDatabase()
    await (await openStorage(migrated.url)).close()
    await expectCode(openStorage(role.urlOf(migrated.url)), 'CONFIG')
    await using store = await openStorage({ url: role.urlOf(migrated.url), migrate: 'skip' })
    const error = await expectCode(store.nodes.get('n'), 'CONFIG')
    expect(error.message).toContain('postgresql-grants.sql')
  })

  test('gives the rights to own tables and their ledger that are there already', async () => {
    await using own = await createDatabase()
    await (await openApp(own.url)).close()
    await runGrants(own.url)
    // As if the role had been made afterwards.
    await own.query('REVOKE ALL ON drizzle.__app_migrations, links, sites FROM meshstore_app')
    await own.query(`INSERT INTO meshstore_state (name, value, updated_at) VALUES ('table:gone', '{}', 0)`)
    const denied = (error: { message: string }): void => expect(error.message).toContain('table __app_migrations')
    denied(await expectCode(openApp(role.urlOf(own.url)), 'CONFIG'))
    denied(await expectCode(openApp(role.urlOf(own.url), { migrate: 'check' }), 'CONFIG'))
    await runGrants(own.url)
    await own.query("DELETE FROM meshstore_state WHERE name = 'table:gone'")
    const rights = async () =>
      (await check(role.urlOf(own.url))).findings.flatMap((each) => (each.check === 'rights' ? each.table : []))
    expect(await rights()).toEqual([])
    await using store = await openApp(role.urlOf(own.url), { migrate: 'check' })
    await store.tables.sites.create({ siteId: 's', name: 'one' })
    await own.query('REVOKE ALL ON drizzle.__app_migrations FROM meshstore_app')
    expect(await rights()).toEqual(['drizzle.__app_migrations'])
  })
})
