/** A ledger on PostgreSQL as drizzle-kit writes it: the library's, or an application's. The twin is sqlite-ledger.ts. */
import type pg from 'pg'
import type { LedgerRow } from './ledger.ts'
import { folderOf, type Migration } from './migrations.ts'
import type { Queryable } from './postgres-missing.ts'

export const createLedger = (client: pg.PoolClient, ledger: string): Promise<unknown> =>
  client.query(`CREATE SCHEMA IF NOT EXISTS drizzle;
CREATE TABLE IF NOT EXISTS drizzle.${ledger} (
  id SERIAL PRIMARY KEY,
  hash text NOT NULL,
  created_at bigint
)`)

export async function rowsOn(on: Queryable, ledger: string): Promise<LedgerRow[]> {
  const { rows } = await on.query<{ hash: string; time: unknown }>(
    `SELECT hash, created_at AS time FROM drizzle.${ledger}`,
  )
  return rows.map(({ hash, time }) => ({ hash, when: Number(time) }))
}

/** drizzle-kit 1.0 adds a column `name`, and applies a migration without a name again. */
export async function addTo(
  client: pg.PoolClient,
  ledger: string,
  migration: Pick<Migration, 'hash' | 'when' | 'tag'>,
): Promise<void> {
  const { hash, when } = migration
  await client.query(`INSERT INTO drizzle.${ledger} (hash, created_at) VALUES ($1, $2)`, [hash, when])
  const named = `SELECT FROM pg_attribute WHERE attrelid = 'drizzle.${ledger}'::regclass AND attname = 'name'`
  if ((await client.query(named)).rowCount === 1)
    await client.query(`UPDATE drizzle.${ledger} SET name = $1 WHERE hash = $2`, [folderOf(migration), hash])
}
