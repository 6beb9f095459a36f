/** A ledger in a SQLite file as drizzle-kit writes it: the library's, or an application's. */
import type Sqlite from 'better-sqlite3'
import type { LedgerRow } from './ledger.ts'
import { folderOf, type Migration } from './migrations.ts'
import { hasTable } from './sqlite-file.ts'

/** `SERIAL` means nothing to SQLite: `id` is always NULL. */
export function createLedger(raw: Sqlite.Database, ledger: string): void {
  raw.exec(`CREATE TABLE IF NOT EXISTS ${ledger} (
  id SERIAL PRIMARY KEY,
  hash text NOT NULL,
  created_at numeric
)`)
}

export const rowsIn = (raw: Sqlite.Database, ledger: string): LedgerRow[] =>
  hasTable(raw, ledger)
    ? raw
        .prepare<[], { hash: string; time: unknown }>(`SELECT hash, created_at AS time FROM ${ledger}`)
        .all()
        .map(({ hash, time }) => ({ hash, when: Number(time) }))
    : []

/** drizzle-kit 1.0 adds a column `name`, and applies a migration without a name again. */
export function addTo(raw: Sqlite.Database, ledger: string, migration: Pick<Migration, 'hash' | 'when' | 'tag'>): void {
  const { hash, when } = migration
  raw.prepare(`INSERT INTO ${ledger} (hash, created_at) VALUES (?, ?)`).run(hash, when)
  if (raw.prepare(`SELECT 1 FROM pragma_table_info('${ledger}') WHERE name = 'name'`).get() !== undefined)
    raw.prepare(`UPDATE ${ledger} SET name = ? WHERE hash = ?`).run(folderOf(migration), hash)
}
