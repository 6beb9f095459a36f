/**
 * Indexes of a migration on tables that are there. `CREATE INDEX` lets nobody write meanwhile, and `CREATE INDEX CONCURRENTLY` cannot
 * run in a migration's transaction. So a large table's index is built before it, under another name, and gets its name in it.
 */
import type pg from 'pg'
import { sqlstateOf } from '../database/postgres/errors.ts'
import { quotedName } from '../schema/described.ts'
import type { Migration } from './migrations.ts'
import type { Queryable } from './postgres-missing.ts'

/** Smaller tables get their index in a moment, while they are locked. */
export const SMALL_BYTES = 8_388_608

const CREATE_INDEX =
  /^\s*(?:--.*\n\s*)*CREATE (UNIQUE )?INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?("[^"]+"|\w+) (ON (?:("[^"]+"|\w+)\.)?("[^"]+"|\w+)[^;]*);?\s*$/i

/** The columns or the table come with the migration itself: the index is made in it. */
const NOT_YET: ReadonlySet<string> = new Set(['42703', '42P01', '42883', '42704'])

export interface CreatedIndex {
  readonly name: string
  readonly unique: boolean
  /** `ON "nodes" USING btree ("started")`. */
  readonly on: string
  readonly schema: string | undefined
  readonly table: string
}

/** The index that a statement creates, if it creates one and nothing else. */
export function createdIndex(statement: string): CreatedIndex | undefined {
  const [, unique, name, on, schema, table] = CREATE_INDEX.exec(statement) ?? []
  if (name === undefined || on === undefined || table === undefined) return undefined
  return { name: bare(name), unique: unique !== undefined, on, schema: schema && bare(schema), table: bare(table) }
}

/** SQL names without quotes are in lower case. */
const bare = (name: string): string => (name.startsWith('"') ? name.slice(1, -1) : name.toLowerCase())

/** The name of an index while it is built. The hash belongs to this migration alone. */
const buildingName = ({ hash }: Migration, at: number): string => `meshstore_building_${hash.slice(0, 16)}_${at}`

const qualified = ({ schema }: CreatedIndex, name: string): string =>
  schema === undefined ? quotedName(name) : `${quotedName(schema)}.${quotedName(name)}`

/**
 * Builds the indexes on large tables. Writes go on meanwhile. Finishes what a killed process has left. Must run outside of a
 * transaction, while no other process migrates.
 */
export async function buildIndexes(
  client: pg.PoolClient,
  migration: Migration,
  except: readonly string[] = [],
): Promise<void> {
  for (const [at, statement] of migration.statements.entries()) {
    const index = createdIndex(statement)
    if (index === undefined || except.includes(index.table)) continue
    const name = buildingName(migration, at)
    const state = await stateOf(client, index, name)
    if (state === 'complete') continue
    if (state === 'half') await client.query(`DROP INDEX CONCURRENTLY ${qualified(index, name)}`)
    if ((await sizeOf(client, index)) < SMALL_BYTES) continue
    try {
      await client.query(`CREATE ${index.unique ? 'UNIQUE ' : ''}INDEX CONCURRENTLY ${quotedName(name)} ${index.on}`)
    } catch (error) {
      if (NOT_YET.has(sqlstateOf(error) ?? '')) continue
      if ((await stateOf(client, index, name).catch(() => undefined)) === 'half')
        await client.query(`DROP INDEX CONCURRENTLY ${qualified(index, name)}`).catch(() => {})
      throw error
    }
  }
}

/** The migration's statements, in which the indexes that are built get their names. */
export async function statementsWith(client: pg.PoolClient, migration: Migration): Promise<string[]> {
  const statements: string[] = []
  for (const [at, statement] of migration.statements.entries()) {
    const index = createdIndex(statement)
    const name = buildingName(migration, at)
    if (index === undefined) statements.push(statement)
    else if ((await stateOf(client, index, name)) === 'complete')
      statements.push(`ALTER INDEX ${qualified(index, name)} RENAME TO ${quotedName(index.name)}`)
    else statements.push(statement.replace(/INDEX CONCURRENTLY /i, 'INDEX '))
  }
  return statements
}

async function stateOf(on: Queryable, index: CreatedIndex, name: string): Promise<'complete' | 'half' | undefined> {
  const { rows } = await on.query<{ valid: boolean }>(
    'SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass($1)',
    [qualified(index, name)],
  )
  const [found] = rows
  if (found === undefined) return undefined
  return found.valid ? 'complete' : 'half'
}

/** 0 for a table that is not there, and for one that CONCURRENTLY is not for. */
async function sizeOf(on: Queryable, index: CreatedIndex): Promise<number> {
  const { rows } = await on.query<{ bytes: number }>(
    `SELECT pg_relation_size(oid)::float8 AS bytes FROM pg_class WHERE oid = to_regclass($1) AND relkind = 'r'`,
    [qualified(index, index.table)],
  )
  return rows[0]?.bytes ?? 0
}
