import { resolve } from 'node:path'
import type { BackupManifest, BackupOptions } from '../api.ts'
import type { PoolMode } from '../database/postgres/pool.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import { BusyRetry } from '../database/sqlite/busy-retry.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { StorageError } from '../errors.ts'
import { checkPath } from '../files/path-rules.ts'
import { migrateSqlite } from '../migrator/apply-sqlite.ts'
import { type Migration, migrationsOf } from '../migrator/migrations.ts'
import { problemsOf } from '../rows/compatibility.ts'
import { type Content, eachTable } from '../rows/content-hash.ts'
import { ownOf } from '../rows/own-tables.ts'
import { withPostgresSnapshot } from '../rows/postgres-source.ts'
import { sendRows } from '../rows/send.ts'
import { progressOver, type Snapshot } from '../rows/source.ts'
import { targetOn } from '../rows/sqlite-target.ts'
import { keyCell, shownKey } from '../schema/cells.ts'
import * as rules from '../schema/rules.ts'
import type { Table } from '../schema/tables.ts'
import { makeBareTables } from './bare-tables.ts'
import { manifestPath, manifestText, withFile } from './manifest.ts'
import { newFile } from './new-file.ts'
import { BACKUP_RULES, described } from './sqlite-backup.ts'

interface Server {
  readonly target: PostgresTarget
  readonly mode: PoolMode
  readonly busyTimeoutMs: number
  readonly now: () => Date
}

/**
 * Copies a consistent snapshot into a new SQLite file with a manifest, in the format of `backupSqlite`: it restores into either
 * dialect. Uses a connection of its own, beside the store's pool.
 *
 * Rejects with CONFIG if the target exists, CORRUPT for an unreadable row, BACKUP_INVALID if the copy differs from what was read,
 * the signal's reason, or an I/O error.
 */
export async function backupPostgres(server: Server, file: string, options: BackupOptions): Promise<BackupManifest> {
  rules.checkOptions('The options', BACKUP_RULES, options)
  checkPath(file)
  const { target, now, busyTimeoutMs, mode } = server
  // Accept any schema version: the backup precedes the migration.
  return withPostgresSnapshot(target, { busyTimeoutMs, mode, anySchema: true }, (snapshot) =>
    backedUp(snapshot, resolve(file), options, now),
  )
}

async function backedUp(
  snapshot: Snapshot,
  path: string,
  options: BackupOptions,
  now: () => Date,
): Promise<BackupManifest> {
  const createdAt = now()
  const known = migrationsUpTo(snapshot.schemaVersion)
  options.signal?.throwIfAborted()
  const leftBehind = await snapshot.others()
  let sent: Content | undefined
  const { file, verified } = await newFile(path, options.signal, {
    fill: async (partial) => {
      sent = await fill(partial, snapshot, { known, options, now })
    },
    verify: async (partial) => {
      const found = await described(partial, sent, createdAt)
      return leftBehind.length > 0 ? { ...found, leftBehind } : found
    },
    beside: (manifest) => ({ path: manifestPath(path), text: manifestText(manifest) }),
  })
  return withFile(file, verified)
}

/** The SQLite migrations up to the server's last one; for a newer schema, all known migrations. */
function migrationsUpTo(schemaVersion: string): readonly Migration[] {
  const known = migrationsOf('sqlite')
  if (schemaVersion === 'none')
    throw new StorageError(
      'SCHEMA_MISMATCH',
      'The database has no tables of Meshstore: there is nothing to back up. Check the URL, or run meshstore migrate up.',
    )
  const last = known.findIndex(({ tag }) => tag === schemaVersion)
  return last === -1 ? known : known.slice(0, last + 1)
}

interface Filling {
  readonly known: readonly Migration[]
  readonly options: BackupOptions
  readonly now: () => Date
}

async function fill(partial: string, snapshot: Snapshot, { known, options, now }: Filling): Promise<Content> {
  using raw = openConnection(partial, { readOnly: false })
  // Needs no journal: after a crash the file still has its unfinished name. It is synced when it is complete.
  raw.pragma('journal_mode = OFF')
  raw.pragma('synchronous = OFF')
  await migrateSqlite(raw, new BusyRetry(0), { now }, known)
  raw.exec('BEGIN')
  const { tables } = await snapshot.tables()
  makeBareTables(raw, ownOf(tables), await snapshot.appMigrations())
  const { onProgress } = options
  const report = onProgress && ((done: number, total: number) => onProgress({ copiedPages: done, totalPages: total }))
  const progress = await progressOver(snapshot, tables, report)
  const target = targetOn(raw)
  const sent = await eachTable(tables, (table) =>
    sendRows(snapshot, target, table, { isLeftOut: refusing(table), progress, signal: options.signal }),
  )
  raw.exec('COMMIT')
  return sent
}

/** A backup leaves no row out: throws CORRUPT for a row that it cannot hold. */
const refusing =
  (table: Table) =>
  (cells: readonly unknown[]): boolean => {
    const [problem] = problemsOf(table, cells, 'sqlite')
    if (problem === undefined) return false
    throw new StorageError(
      'CORRUPT',
      `${table.name} ${shownKey(keyCell(table, cells))}: ${problem.column} ${problem.message}. Another program wrote it. No backup was made. Correct or delete the row, then make the backup.`,
    )
  }
