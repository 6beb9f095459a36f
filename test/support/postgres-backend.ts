import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import { inject } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { quotedName } from '../../src/schema/described.ts'
import { OUR_TABLES } from '../../src/schema/tables.ts'
import { ALL_KEYS, KEYS, type OtherProgram, PATIENCE, type Row, type Table } from './other-program.ts'

/** Databases of this test file that are free again: emptying one takes a fraction of making one. */
const free: Borrowed[] = []

interface Borrowed {
  readonly database: string
  /** The owner's connection, which stays: a new one would first have to read the catalogs. */
  readonly owner: pg.Pool
}

const urlOf = (database: string): string => {
  const url = new URL(inject('postgresUrl'))
  url.pathname = `/${database}`
  return url.href
}

async function using<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/**
 * An empty database that the owner has migrated: the store's URL is that of a role with the rights of the shipped grants
 * and no more, the owner's is for other programs.
 */
export async function borrowDatabase(
  own: readonly { readonly name: string }[] = [],
): Promise<{ url: string; owner: string; giveBack: () => Promise<void> }> {
  const { database, owner } = free.pop() ?? (await createDatabase())
  const url = urlOf(database)
  const app = new URL(url)
  app.username = APP_ROLE
  app.password = appPassword(inject('postgresUrl'))
  const giveBack = async (): Promise<void> => {
    const tables = [...own.map(({ name }) => quotedName(name)), ...OUR_TABLES]
    // No trigger marks what goes with them. To truncate takes ten times as long, as there are a few rows.
    await owner.query(`BEGIN; DROP FUNCTION IF EXISTS ${FUNCTIONS} CASCADE; DROP SEQUENCE IF EXISTS dropped;
      SET LOCAL session_replication_role = replica; ${tables.map((each) => `DELETE FROM ${each}`).join('; ')};
      ${VALIDATE_AGAIN}; COMMIT`)
    free.push({ database, owner })
  }
  return { url: app.href, owner: url, giveBack }
}

/** Those of the triggers that a test has made. */
const FUNCTIONS = 'refusing, dropping, dropping_nodes, dropping_policies, dropping_links'

/** Constraints that were set aside for a broken row hold for all rows again. */
const VALIDATE_AGAIN = `DO $$ DECLARE each record; BEGIN
  FOR each IN SELECT conrelid::regclass AS owner, conname FROM pg_constraint WHERE NOT convalidated LOOP
    EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', each.owner, each.conname);
  END LOOP; END $$`

const APP_ROLE = 'meshstore_conformance'
/** Like no other text, and the same in every test file: the role is the server's. */
export const appPassword = (url: string): string => createHash('sha256').update(url).digest('hex').slice(0, 24)
const GRANTS = new URL('../../drizzle/postgresql-grants.sql', import.meta.url)

async function createDatabase(): Promise<Borrowed> {
  const database = `meshstore_${randomBytes(6).toString('hex')}`
  await using(inject('postgresUrl'), async (client) => {
    const template = await migratedTemplate(client)
    await client.query(`CREATE DATABASE ${database} TEMPLATE ${template}`)
  })
  const owner = new pg.Pool({ connectionString: urlOf(database), max: 1, idleTimeoutMillis: 0, allowExitOnIdle: true })
  // A test may end all connections: the next call makes another one.
  owner.on('error', () => {})
  return { database, owner }
}

/** A database of this version, with the rights of the application's role: one for the whole run, which the others copy. */
async function migratedTemplate(client: pg.Client): Promise<string> {
  const name = `meshstore_${createHash('sha256').update(inject('shared')).digest('hex').slice(0, 12)}`
  const made = async (): Promise<boolean> =>
    (await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [name])).rows.length > 0
  if (await made()) return name
  await client.query('SELECT pg_advisory_lock(hashtext($1))', [name])
  if (!(await made())) {
    await client.query(`CREATE DATABASE ${name}_begun`)
    const url = urlOf(`${name}_begun`)
    await (await openStorage(url)).close()
    await using(url, async (owner) => {
      await owner.query(await readFile(GRANTS, 'utf8'))
      // Roles belong to the server: a run before this may have made it.
      await owner.query(`DO $$ BEGIN CREATE ROLE ${APP_ROLE} LOGIN PASSWORD '${appPassword(inject('postgresUrl'))}';
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
      await owner.query(`GRANT meshstore_app TO ${APP_ROLE}`)
    })
    await client.query(`ALTER DATABASE ${name}_begun RENAME TO ${name}`)
  }
  await client.query('SELECT pg_advisory_unlock(hashtext($1))', [name])
  return name
}

/** Each call connects, does its work, and leaves. */
export function postgresProgram(url: string): OtherProgram {
  const rows = async (sql: string, values: readonly unknown[] = []): Promise<Row[]> =>
    using(url, async (client) => (await client.query<Row>(sql, [...values])).rows)
  return {
    insert: async (table, row) => {
      const columns = Object.keys(row)
      const insert = `INSERT INTO ${table} (${columns.join()}) VALUES (${columns.map((_, at) => `$${at + 1}`).join()})`
      await rows(insert, Object.values(row))
    },
    corrupt: (table, key, change) =>
      using(url, async (client) => {
        await client.query('BEGIN')
        const constraints = await setAside(client, table)
        const assignments = Object.keys(change).map((column, at) => `${column} = $${at + 2}`)
        const update = `UPDATE ${table} SET ${assignments.join()} WHERE ${KEYS[table]} = $1`
        const { rowCount } = await client.query(update, [key, ...Object.values(change)])
        if (rowCount !== 1) throw new Error(`There is no ${key} in ${table} to corrupt.`)
        for (const { name, definition } of constraints)
          await client.query(`ALTER TABLE ${table} ADD CONSTRAINT ${name} ${definition} NOT VALID`)
        await client.query('COMMIT')
      }),
    row: async (table, key) => {
      const [row] = await rows(`SELECT * FROM ${table} WHERE ${KEYS[table]} = $1`, [key])
      return row && asStored(row)
    },
    rows: async (table) => (await rows(`SELECT * FROM ${table} ORDER BY ${ALL_KEYS[table]}`)).map(asStored),
    refuseRows: async (table, words) => {
      await rows(
        `CREATE FUNCTION refusing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '${words}'; END $$`,
      )
      await rows(`CREATE TRIGGER refusing BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION refusing()`)
    },
    dropRows: async (table, key) => {
      await rows(`CREATE FUNCTION dropping_${table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.${key} LIKE 'dropped%' THEN RETURN NULL; END IF; RETURN NEW; END $$`)
      await rows(
        `CREATE TRIGGER dropping_${table} BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION dropping_${table}()`,
      )
    },
    // The count of a sequence stays when the rest is rolled back; who updates has no right to it.
    dropUpdates: async (table) => {
      await rows('CREATE SEQUENCE dropped')
      await rows(`CREATE FUNCTION dropping() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        IF nextval('public.dropped') < ${PATIENCE} THEN RETURN NULL; END IF; RETURN NEW; END $$`)
      await rows(`CREATE TRIGGER dropping BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION dropping()`)
    },
    execute: async (sql) => {
      await rows(sql)
    },
  }
}

interface Constraint {
  readonly name: string
  readonly definition: string
}

/** Drops the checks of a table, to be added again for what is written later. */
async function setAside(client: pg.Client, table: Table): Promise<Constraint[]> {
  const { rows } = await client.query<Constraint>(
    `SELECT conname AS name, regexp_replace(pg_get_constraintdef(oid), ' NOT VALID$', '') AS definition
     FROM pg_constraint WHERE conrelid = $1::regclass AND contype = 'c'`,
    [table],
  )
  for (const { name } of rows) await client.query(`ALTER TABLE ${table} DROP CONSTRAINT ${name}`)
  return rows
}

/** As another backend would store it: lists as JSON with Python's spaces, flags as numbers. */
function asStored(row: Row): Row {
  const values = Object.entries(row).map(([column, value]: [string, unknown]) => {
    if (Array.isArray(value)) return [column, `[${value.map((item) => JSON.stringify(item)).join(', ')}]`]
    return [column, typeof value === 'boolean' ? Number(value) : value]
  })
  return Object.fromEntries(values)
}
