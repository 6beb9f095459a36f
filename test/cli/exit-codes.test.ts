/** Exit codes of the commands, each on each dialect; the output of --json is one document. */
import { createServer } from 'node:net'
import { describe, expect, inject, test } from 'vitest'
import { bareDriver, makeFile } from '../adoption/support/client.ts'
import { nodeRow } from '../adoption/support/ddl.ts'
import { createAppRole, runGrants } from '../postgres/support/app-role.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { temporaryFolder } from '../support/folders.ts'
import { TAGS } from '../support/tags.ts'
import { documentOf, ONE_LINE, type Ran, type RunOptions, runCommand } from './support/command.ts'

/** Runs it twice, for people and with --json: both say the same, and an error is told on stderr each time. */
async function migrate(args: readonly string[], code: number, options: RunOptions = {}): Promise<Ran> {
  const json = await runCommand(['migrate', ...args, '--json'], options)
  expect(json.code, json.stderr).toBe(code)
  const { error } = documentOf(json)
  if (error === undefined) expect(json.stderr).toBe('')
  else {
    const {
      code: name,
      message,
      docs,
      retryable,
    } = error as Record<'code' | 'message' | 'docs', string> & {
      retryable: boolean
    }
    expect(json.stderr).toBe(`${name}: ${message} See ${docs}\n`)
    expect(json.stderr).toMatch(ONE_LINE)
    expect(retryable).toBe(code === 5)
  }
  return json
}

/** The same without --json. */
async function asText(args: readonly string[], code: number): Promise<string> {
  const ran = await runCommand(['migrate', ...args])
  expect(ran.code, ran.stderr).toBe(code)
  for (const text of [ran.stdout, ran.stderr]) expect(text).not.toMatch(/undefined|\[object|NaN|\r/)
  return ran.stdout
}

/** A port on which nothing listens. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' ? (address?.port ?? 0) : 0
}

describe('SQLite', () => {
  test('0, 3: what is pending, what it would do, and what it did', async () => {
    using folder = temporaryFolder()
    const url = ['--url', folder.write('mesh.db', '')]
    expect(documentOf(await migrate(['status', ...url], 3))).toMatchObject({ dialect: 'sqlite', state: 'new' })
    expect(await asText(['status', ...url], 3)).toMatch(
      new RegExp(`^Nothing has been applied yet\\.\\nPending:\\n  ${TAGS.join('\\n  ')}\\n`),
    )
    const [step] = documentOf(await migrate(['plan', ...url], 0)).steps as { statements: string[] }[]
    expect(step?.statements.join()).toContain('CREATE TABLE `nodes`')
    expect(await asText(['plan', ...url], 0)).toMatch(/^-- .*0000_create_tables\.sql\nCREATE TABLE `nodes`/)
    expect(documentOf(await migrate(['adopt', ...url], 2))).toMatchObject({ error: { code: 'CONFIG' } })
    const { applied } = documentOf(await migrate(['up', ...url], 0))
    expect(applied).toEqual(TAGS.map((tag) => ({ tag, milliseconds: expect.any(Number) })))
    expect(documentOf(await migrate(['status', ...url], 0))).toMatchObject({ state: 'current', drift: [], pending: [] })
    expect(await asText(['status', ...url], 0)).toMatch(
      new RegExp(`^\\w[^\\n]*\\.\\nApplied:\\n  ${TAGS.join('\\n  ')}\\n`),
    )
    expect(await asText(['plan', ...url], 0)).toBe('-- Nothing is pending.\n')
    expect(documentOf(await migrate(['adopt', ...url], 0))).toEqual({
      applied: [],
      recorded: [],
      repaired: [],
      pending: [],
    })
  })

  test('3, 0: a file of another program, and its adoption', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
    expect(documentOf(await migrate(['status', '--url', path], 3))).toMatchObject({ state: 'adoptable' })
    expect(await asText(['status', '--url', path], 3)).toMatch(
      /^Another program made the file; meshstore migrate up adopts it/,
    )
    const done = await asText(['up', '--url', path], 0)
    expect(done).toMatch(/^Copied the file as it was to .*before-adoption-\w+\.\nKept 1 rows? of nodes\.\n/)
    expect(done).toContain(path)
  })

  test('4: rows that cannot be kept, drift, and an edited migration', async () => {
    using folder = temporaryFolder()
    const broken = ['--url', await makeFile(folder.file('broken.db'), [nodeRow({ started: 'maybe' })])]
    expect(documentOf(await migrate(['status', ...broken], 4))).toMatchObject({ state: 'refused' })
    expect(documentOf(await migrate(['up', ...broken], 4))).toMatchObject({ error: { code: 'SCHEMA_MISMATCH' } })
    await migrate(['adopt', ...broken], 4)
    expect(await asText(['status', ...broken], 4)).toContain('nodes row 1 ("gw-1"): started is neither 0 nor 1')

    const path = folder.file('mesh.db')
    await migrate(['up', '--url', path], 0)
    await using application = bareDriver.open(path)
    await application.execute('DROP INDEX idx_nodes_started')
    expect(documentOf(await migrate(['status', '--url', path], 4)).drift).toHaveLength(1)
    await application.execute("UPDATE __drizzle_migrations SET hash = 'edited'")
    for (const command of ['status', 'plan']) {
      const { problem } = documentOf(await migrate([command, '--url', path], 4))
      expect(problem).toMatchObject({ code: 'MIGRATION_EDITED' })
    }
    await migrate(['up', '--url', path], 4)
  })

  test.each(['DELETE', 'WAL'])('5: a locked file, with --wait 0, journal mode %s', async (journal) => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
    await using application = bareDriver.open(path)
    await application.execute(`PRAGMA journal_mode = ${journal}; BEGIN IMMEDIATE; UPDATE nodes SET started = 0`)
    const options = { timeoutMs: 10_000 }
    for (const command of ['up', 'adopt']) {
      const ran = await migrate([command, '--wait', '0', '--url', path], 5, options)
      expect(documentOf(ran)).toMatchObject({ error: { code: 'BUSY', retryable: true } })
    }
    // Reading takes no lock: it does not wait for the writer.
    await migrate(['status', '--wait', '0', '--url', path], 3, options)
    await migrate(['plan', '--wait', '0', '--url', path], 0, options)
  })

  test.each(['up', 'adopt', 'status', 'plan'])('%s waits for a lock as long as --wait says', async (command) => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [nodeRow()])
    await using application = bareDriver.open(path)
    await application.execute('BEGIN EXCLUSIVE')
    const begun = performance.now()
    expect((await runCommand(['migrate', command, '--wait', '2', '--url', path])).code).toBe(5)
    expect(performance.now() - begun).toBeGreaterThanOrEqual(2_000)
  })
})

describePostgres('PostgreSQL', () => {
  test('0, 3: what is pending, what it would do, and what it did', async () => {
    await using database = await createDatabase()
    const url = ['--url', database.url]
    expect(documentOf(await migrate(['status', ...url], 3))).toMatchObject({ dialect: 'postgresql', state: 'new' })
    expect(await asText(['plan', ...url], 0)).toContain('CREATE TABLE "nodes"')
    expect(documentOf(await migrate(['adopt', ...url], 2))).toMatchObject({ error: { code: 'CONFIG' } })
    expect(documentOf(await migrate(['up', ...url], 0)).applied).toHaveLength(TAGS.length)
    expect(await asText(['up', ...url], 0)).toBe('Nothing was pending.\n')
    expect(documentOf(await migrate(['status', ...url], 0))).toMatchObject({ state: 'current', drift: [] })

    await database.query('DROP SCHEMA drizzle CASCADE')
    await migrate(['status', ...url], 4)
    await migrate(['up', ...url], 4)
    expect(documentOf(await migrate(['adopt', ...url], 0)).recorded).toEqual(TAGS)
    await migrate(['status', ...url], 0)
  })

  test('1: a database that is read-only', async () => {
    await using database = await createDatabase()
    await database.query(`ALTER DATABASE ${database.name} SET default_transaction_read_only = on`)
    const ran = await migrate(['up', '--url', database.url], 1)
    expect(documentOf(ran)).toMatchObject({ error: { code: 'READ_ONLY', retryable: false } })
    await migrate(['status', '--url', database.url], 3)
  })

  test('2: a role that may not create tables; it may look, and has nothing to do where all is applied', async () => {
    await using migrated = await createDatabase()
    await migrate(['up', '--url', migrated.url], 0)
    await runGrants(migrated.url)
    await using role = await createAppRole(migrated.url)
    await using database = await createDatabase()
    await migrate(['up', '--url', role.urlOf(database.url)], 2)
    await migrate(['status', '--url', role.urlOf(database.url)], 3)
    await migrate(['up', '--url', role.urlOf(migrated.url)], 0)
    await migrate(['status', '--url', role.urlOf(migrated.url)], 0)
  })

  test('2: a database that is not there, and a password that is wrong', async () => {
    const url = new URL(inject('postgresUrl'))
    url.pathname = '/nowhere'
    for (const command of ['up', 'status', 'plan', 'adopt']) await migrate([command, '--url', url.href], 2)
    url.password = 'another'
    for (const command of ['up', 'status', 'plan', 'adopt']) await migrate([command, '--url', url.href], 2)
  })

  test('4: tables of others, and drift', async () => {
    await using database = await createDatabase()
    await database.query('CREATE TABLE policies (something_else integer)')
    for (const command of ['up', 'status', 'plan', 'adopt']) await migrate([command, '--url', database.url], 4)
    await database.query('DROP TABLE policies')
    await migrate(['up', '--url', database.url], 0)
    await database.query('ALTER TABLE nodes ADD COLUMN region text')
    expect(await asText(['status', '--url', database.url], 4)).toContain('region')
  })

  test('5: a server that is away', async () => {
    const url = `postgres://mesh:pw@127.0.0.1:${await freePort()}/mesh`
    for (const command of ['up', 'status', 'plan', 'adopt']) {
      const ran = await migrate([command, '--url', url], 5)
      expect(documentOf(ran)).toMatchObject({ error: { code: 'UNAVAILABLE' } })
    }
  })

  test('plan says what each statement locks', async () => {
    await using database = await createDatabase()
    await migrate(['up', '--url', database.url], 0)
    await database.query(`DELETE FROM drizzle.__drizzle_migrations WHERE id > 3`)
    const ran = await migrate(['plan', '--url', database.url], 0)
    const [step] = documentOf(ran).steps as { statements: string[]; locks: unknown[] }[]
    expect(step?.locks).toHaveLength(step?.statements.length ?? 0)
    expect(step?.locks).toContainEqual({ table: 'nodes', lock: 'SHARE', blocks: 'writes', aboutSeconds: 0.05 })
  })

  test('5: another process migrates, with --wait 0', async () => {
    await using database = await createDatabase()
    const other = await database.client()
    await other.query('BEGIN')
    await other.query('SELECT pg_advisory_xact_lock(1298495336, 1937010546)')
    const options = { timeoutMs: 10_000 }
    const ran = await migrate(['up', '--wait', '0', '--url', database.url], 5, options)
    expect(documentOf(ran)).toMatchObject({ error: { retryable: true } })
    await other.query('ROLLBACK')
    await migrate(['up', '--url', database.url], 0, options)
  })
})
