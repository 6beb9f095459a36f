/** Findings on a server, for a role that may read and write rows and no more. */
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { check } from '../../src/check/index.ts'
import { openStorage } from '../../src/index.ts'
import { type AppRole, createAppRole, runGrants } from '../postgres/support/app-role.ts'
import { createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode } from '../support/expectations.ts'
import { link, openApp } from '../tables/app/stages.ts'
import { fill, kinds, only, reasonFor, wrong } from './support/sound.ts'

const BACKUP = "INSERT INTO meshstore_state VALUES ('last_backup', '', extract(epoch FROM now()))"

async function soundDatabase(): Promise<TestDatabase> {
  const database = await createDatabase()
  await using store = await openStorage(database.url)
  await fill(store)
  await runGrants(database.url)
  return database
}

describePostgres('a check on PostgreSQL', () => {
  let role: AppRole
  beforeAll(async () => {
    await (await soundDatabase())[Symbol.asyncDispose]()
    role = await createAppRole(inject('postgresUrl'))
  })
  afterAll(() => role[Symbol.asyncDispose]())

  test('finds nothing wrong with what is sound, with the rights of the grants alone', async () => {
    await using database = await soundDatabase()
    const report = await check(role.urlOf(database.url))
    expect(kinds(report)).toEqual(['info last-backup'])
    expect(report.counts).toEqual({ error: 0, warning: 0, info: 1 })
    expect(report.notChecked).toEqual([])
    expect(report.passed).toEqual([
      'last-backup',
      'migrations',
      'move',
      'others',
      'rights',
      'rows',
      'schema',
      'settings',
    ])
    await database.query(BACKUP)
    expect((await check(role.urlOf(database.url))).findings).toEqual([])
  })

  test('says what the role may not do, and does not call what it cannot see wrong', async () => {
    await using database = await soundDatabase()
    await database.query('REVOKE DELETE ON nodes FROM meshstore_app')
    const reader = await check(role.urlOf(database.url))
    expect(wrong(reader)).toMatchObject([{ severity: 'warning', check: 'rights', table: 'nodes' }])
    expect(wrong(reader)[0]?.message).toContain('may not DELETE in nodes')

    // An own table is the application's to grant.
    await database.query('GRANT DELETE ON nodes TO meshstore_app')
    await using app = await openApp(database.url)
    await app.close()
    expect(wrong(await check(role.urlOf(database.url)))).toEqual([])
    await database.query('REVOKE INSERT, UPDATE ON links FROM meshstore_app')
    expect(wrong(await check(role.urlOf(database.url)))).toMatchObject([
      { check: 'rights', table: 'links', message: 'The role may not INSERT, UPDATE in links.' },
    ])
    await database.query('GRANT INSERT, UPDATE ON links TO meshstore_app')

    // Who may not read it cannot know whether it has rows.
    await database.query('REVOKE SELECT ON links FROM meshstore_app')
    expect(reasonFor(await check(role.urlOf(database.url), { quick: true }), 'last-backup')).toBeUndefined()
    await database.query('GRANT SELECT ON links TO meshstore_app')

    // A migration came after the grants: nobody notices until somebody subscribes.
    await database.query('GRANT DELETE ON nodes TO meshstore_app; REVOKE ALL ON meshstore_changes FROM meshstore_app')
    const before = await check(role.urlOf(database.url))
    expect(wrong(before)).toMatchObject([{ severity: 'warning', check: 'rights', table: 'meshstore_changes' }])

    await database.query('REVOKE ALL ON ALL TABLES IN SCHEMA public, drizzle FROM meshstore_app')
    const blind = await check(role.urlOf(database.url))
    expect(kinds(blind)).toEqual(['warning rights'])
    for (const name of ['migrations', 'schema', 'rows', 'last-backup'] as const)
      expect(reasonFor(blind, name)).toBeDefined()
  })

  test('says that rows of an own table alone have no backup', async () => {
    await using database = await createDatabase()
    await using app = await openApp(database.url)
    expect((await check(database.url)).findings).toEqual([])
    await app.tables.links.create(link('l'))
    expect(kinds(await check(database.url))).toEqual(['info last-backup'])
  })

  test('does not compare the schema where no temporary tables are allowed', async () => {
    await using database = await soundDatabase()
    await database.query(`REVOKE TEMPORARY ON DATABASE ${database.name} FROM PUBLIC`)
    const report = await check(role.urlOf(database.url))
    expect(wrong(report)).toEqual([])
    expect(reasonFor(report, 'schema')).toContain('no temporary tables')
    expect(report.passed).toContain('rows')
  })

  test('finds drift: an index that is missing, and a constraint that is NOT VALID', async () => {
    await using database = await soundDatabase()
    await database.query('DROP INDEX idx_nodes_started; ALTER TABLE nodes DROP CONSTRAINT nodes_created_time')
    const schema = (await check(role.urlOf(database.url))).findings.filter((finding) => finding.check === 'schema')
    expect(schema.map(({ severity, table }) => `${severity} ${table}`)).toEqual(['error nodes', 'error nodes'])

    await database.query(
      'ALTER TABLE nodes ADD CONSTRAINT nodes_created_time CHECK (created_at BETWEEN -253402300799 AND 253402300799) NOT VALID',
    )
    const invalid = (await check(role.urlOf(database.url))).findings.map(({ message }) => message)
    expect(invalid).toContainEqual(expect.stringMatching(/^nodes: CONSTRAINT nodes_created_time .*NOT VALID/))
  })

  test('finds pending migrations, a refusal, and a trigger of others', async () => {
    await using empty = await createDatabase()
    const report = await check(empty.url)
    expect(only(report, 'warning', 'migrations').advice).toContain('meshstore migrate up')
    expect(reasonFor(report, 'rows')).toBe('The schema is not up to date.')

    await using database = await soundDatabase()
    await database.query(
      'CREATE TRIGGER theirs BEFORE UPDATE ON nodes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()',
    )
    expect(only(await check(database.url), 'info', 'others').message).toContain('trigger theirs on nodes')
    await database.query("UPDATE drizzle.__drizzle_migrations SET hash = 'another'")
    const refused = await check(database.url)
    expect(only(refused, 'error', 'migrations').message).toMatch(/^MIGRATION_EDITED: /)
  })

  test('finds a move of a file that has not arrived', async () => {
    await using database = await soundDatabase()
    const moving = (phase: string): Promise<unknown> =>
      database.query(
        `INSERT INTO meshstore_state (name, value, updated_at) VALUES ('move', '{"phase":"${phase}"}', 1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
      )
    await moving('copying')
    expect(only(await check(database.url), 'warning', 'move').advice).toContain('--abort')
    await moving('done')
    expect(kinds(await check(database.url))).not.toContain('warning move')
  })

  test('finds settings that lose what was acknowledged', async () => {
    await using database = await soundDatabase()
    await database.query(`ALTER DATABASE ${database.name} SET synchronous_commit = off`)
    await database.query(`ALTER DATABASE ${database.name} SET default_transaction_read_only = on`)
    const report = await check(role.urlOf(database.url))
    const settings = wrong(report).filter((finding) => finding.check === 'settings')
    expect(settings.map(({ severity, message }) => `${severity} ${message.split(' ')[0]}`).sort()).toEqual([
      'warning default_transaction_read_only',
      'warning synchronous_commit',
    ])
  })

  test('throws UNAVAILABLE without a server, and CONFIG for a wrong password', async () => {
    await expectCode(check('postgres://nobody@127.0.0.1:1/none'), 'UNAVAILABLE')
    const url = new URL(inject('postgresUrl'))
    url.password = 'wrong'
    await expectCode(check(url.href), 'CONFIG')
  })
})
