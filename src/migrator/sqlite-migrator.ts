import type Sqlite from 'better-sqlite3'
import type { Patience } from '../database/sqlite/connection.ts'
import { StorageError } from '../errors.ts'
import { type Migration, migrationsOf } from './migrations.ts'

/** The ledger that drizzle-kit keeps too, so that either may apply what the other has not. */
const CREATE_LEDGER = `CREATE TABLE IF NOT EXISTS __drizzle_migrations (
  id SERIAL PRIMARY KEY,
  hash text NOT NULL,
  created_at numeric
)`

/** Throws SCHEMA_MISMATCH where something is pending, or, if that may be applied, where it must not be. */
export function checkSqlite(raw: Sqlite.Database, mode: 'apply' | 'check'): void {
  // One moment: between two reads another process could create ledger and tables.
  raw.exec('BEGIN')
  try {
    checkMoment(raw, mode)
  } finally {
    raw.exec('ROLLBACK')
  }
}

function checkMoment(raw: Sqlite.Database, mode: 'apply' | 'check'): void {
  const [next] = pending(raw, migrationsOf('sqlite'))
  if (next === undefined) return
  if (mode === 'check') {
    throw new StorageError(
      'SCHEMA_MISMATCH',
      `Migrations are pending, the first is ${next.tag}. Open with migrate: 'apply'.`,
    )
  }
  if (appliedTimes(raw).size === 0) refuseForeignTables(raw)
}

/**
 * Brings the schema up to date. Throws SCHEMA_MISMATCH for tables that no migration made.
 *
 * One process at a time: the lock is taken first, the ledger read again under it. Each migration is one transaction.
 */
export async function migrateSqlite(raw: Sqlite.Database, patience: Patience): Promise<void> {
  const known = migrationsOf('sqlite')
  while (pending(raw, known).length > 0) {
    await patience.retry(() => raw.exec('BEGIN IMMEDIATE'))
    try {
      const [next] = pending(raw, known)
      if (next !== undefined) {
        if (appliedTimes(raw).size === 0) refuseForeignTables(raw)
        apply(raw, next)
      }
      raw.exec('COMMIT')
    } finally {
      if (raw.inTransaction) raw.exec('ROLLBACK')
    }
  }
}

/** The last migration that was applied, or `none`. */
export function schemaVersionOf(raw: Sqlite.Database): string {
  const applied = appliedTimes(raw)
  return migrationsOf('sqlite').findLast(({ when }) => applied.has(when))?.tag ?? 'none'
}

function apply(raw: Sqlite.Database, { statements, hash, when }: Migration): void {
  raw.exec(CREATE_LEDGER)
  for (const statement of statements) raw.exec(statement)
  raw.prepare('INSERT INTO __drizzle_migrations (hash, created_at) VALUES (?, ?)').run(hash, when)
}

const pending = (raw: Sqlite.Database, known: readonly Migration[]): Migration[] => {
  const applied = appliedTimes(raw)
  return known.filter(({ when }) => !applied.has(when))
}

const hasTable = (raw: Sqlite.Database, name: string): boolean =>
  raw.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined

function appliedTimes(raw: Sqlite.Database): ReadonlySet<number> {
  if (!hasTable(raw, '__drizzle_migrations')) return new Set()
  const times = raw.prepare('SELECT created_at FROM __drizzle_migrations').pluck().all()
  return new Set(times.map(Number))
}

/** Tables of the same names that no migration made: their rows were never checked. */
function refuseForeignTables(raw: Sqlite.Database): void {
  const found = ['nodes', 'policies', 'path_cache'].filter((name) => hasTable(raw, name))
  if (found.length === 0) return
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `The file has tables that another program made (${found.join(', ')}); this version cannot adopt them. Nothing was changed.`,
  )
}
