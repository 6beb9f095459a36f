import type pg from 'pg'
import { StorageError } from '../errors.ts'
import { type Migration, migrationsOf } from './migrations.ts'

/** The ledger that drizzle-kit keeps too, so that either may apply what the other has not. */
const CREATE_LEDGER = `CREATE SCHEMA IF NOT EXISTS drizzle;
CREATE TABLE IF NOT EXISTS drizzle.__drizzle_migrations (
  id SERIAL PRIMARY KEY,
  hash text NOT NULL,
  created_at bigint
)`
/** Any two numbers, the same for every process that migrates. */
const LOCK = 'SELECT pg_advisory_xact_lock(1298495336, 1937010546)'

/** Whether nothing is pending. Throws SCHEMA_MISMATCH if something is and must not be applied. */
export async function checkPostgres(pool: pg.Pool, mode: 'apply' | 'check'): Promise<boolean> {
  const [next] = await pending(pool, migrationsOf('postgresql'))
  if (next === undefined) return true
  if (mode === 'apply') return false
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `Migrations are pending, the first is ${next.tag}. Open with migrate: 'apply'.`,
  )
}

/**
 * Brings the schema up to date. One process at a time: the lock is taken first, the ledger read again under it. Each
 * migration is one transaction.
 */
export async function migratePostgres(pool: pg.Pool): Promise<void> {
  const known = migrationsOf('postgresql')
  while ((await pending(pool, known)).length > 0) await applyNext(pool, known)
}

/** The last migration that was applied, or `none`. */
export async function schemaVersionOf(pool: pg.Pool): Promise<string> {
  const applied = await appliedTimes(pool)
  return migrationsOf('postgresql').findLast(({ when }) => applied.has(when))?.tag ?? 'none'
}

async function applyNext(pool: pg.Pool, known: readonly Migration[]): Promise<void> {
  const client = await pool.connect()
  try {
    // READ COMMITTED: a snapshot taken before the lock was had would not show what another process applied meanwhile.
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED')
    await client.query(LOCK)
    const [next] = await pending(client, known)
    if (next !== undefined) await apply(client, next)
    await client.query('COMMIT')
    client.release()
  } catch (error) {
    // Ending the connection rolls back.
    client.release(true)
    throw error
  }
}

async function apply(client: pg.PoolClient, { statements, hash, when }: Migration): Promise<void> {
  await client.query(CREATE_LEDGER)
  for (const statement of statements) await client.query(statement)
  await client.query('INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ($1, $2)', [hash, when])
}

type Queryable = Pick<pg.PoolClient, 'query'> | Pick<pg.Pool, 'query'>

async function pending(on: Queryable, known: readonly Migration[]): Promise<Migration[]> {
  const applied = await appliedTimes(on)
  return known.filter(({ when }) => !applied.has(when))
}

async function appliedTimes(on: Queryable): Promise<ReadonlySet<number>> {
  // The catalog itself, not to_regclass(): that one answers from what this session knew before it waited for the lock.
  const { rows: ledger } = await on.query(
    `SELECT 1 FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE nspname = 'drizzle' AND relname = '__drizzle_migrations'`,
  )
  if (ledger.length === 0) return new Set()
  const { rows } = await on.query('SELECT created_at FROM drizzle.__drizzle_migrations')
  return new Set(rows.map(({ created_at }) => Number(created_at)))
}
