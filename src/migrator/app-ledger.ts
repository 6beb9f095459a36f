/** Reads the ledger of the application's own migrations, which drizzle-kit or this package has written. */
import type Sqlite from 'better-sqlite3'
import type { Ask } from '../database/postgres/single.ts'
import { hasTable } from './sqlite-file.ts'

/**
 * Beside the library's ledger, on PostgreSQL in the schema `drizzle`. In the application's drizzle.config.ts:
 * `migrations: { table: '__app_migrations' }`.
 */
export const APP_LEDGER = '__app_migrations'

export interface AppMigration {
  /** The journal's time of the migration, in milliseconds. */
  readonly when: number
  readonly hash: string
  /** drizzle-kit 1.0 keeps names. */
  readonly name: string | undefined
}

type Row = [hash: unknown, when: unknown, name: unknown]
const asMigration = ([hash, when, name]: Row): AppMigration => ({
  hash: String(hash),
  when: Number(when),
  name: typeof name === 'string' ? name : undefined,
})

/** In the order of application. */
export function appMigrationsIn(raw: Sqlite.Database): AppMigration[] {
  if (!hasTable(raw, APP_LEDGER)) return []
  const columns = raw.prepare<[string], string>('SELECT lower(name) FROM pragma_table_info(?)').pluck().all(APP_LEDGER)
  if (!columns.includes('hash') || !columns.includes('created_at')) return []
  const name = columns.includes('name') ? 'name' : 'NULL'
  return raw
    .prepare<[], Row>(`SELECT hash, created_at, ${name} FROM ${APP_LEDGER} ORDER BY created_at`)
    .raw()
    .all()
    .map(asMigration)
}

/** In the order of application. A role that may not read the ledger sees none. */
export async function appMigrationsOn(ask: Ask): Promise<AppMigration[]> {
  const columns = await ask<[string]>(
    `SELECT attname::text FROM pg_attribute
     WHERE attrelid = to_regclass('drizzle.${APP_LEDGER}') AND has_table_privilege(attrelid, 'SELECT') AND attnum > 0`,
  )
  const names = columns.map(([name]) => name)
  if (!names.includes('hash') || !names.includes('created_at')) return []
  const name = names.includes('name') ? 'name' : 'NULL::text'
  const rows = await ask<Row>(`SELECT hash, created_at, ${name} FROM drizzle.${APP_LEDGER} ORDER BY created_at`)
  return rows.map(asMigration)
}

/** A migration for people: its name, or its time and the beginning of its hash. */
export const shownMigration = ({ name, when, hash }: AppMigration): string =>
  name ??
  `${Number.isFinite(when) && Math.abs(when) < 8.64e15 ? new Date(when).toISOString() : when} (${hash.slice(0, 8)})`
