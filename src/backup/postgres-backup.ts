import { resolve } from 'node:path'
import type { BackupManifest, BackupOptions } from '../api.ts'
import type { PoolMode } from '../database/postgres/pool.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import { openConnection, Patience } from '../database/sqlite/connection.ts'
import { StorageError } from '../errors.ts'
import { checkPath } from '../files/path-rules.ts'
import { type Migration, migrationsOf } from '../migrator/migrations.ts'
import { migrateSqlite } from '../migrator/sqlite-migrator.ts'
import { targetOn } from '../move/sqlite-target.ts'
import { problemsOf } from '../rows/compatibility.ts'
import type { Content } from '../rows/content-hash.ts'
import { withPostgresSnapshot } from '../rows/postgres-source.ts'
import { sendRows } from '../rows/rows.ts'
import type { Snapshot } from '../rows/source.ts'
import { TABLE_NAMES, type TableName } from '../rows/tables.ts'
import * as rules from '../schema/rules.ts'
import { shownKey } from '../transfer/rows.ts'
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
 * Copies everything into one new SQLite file, as of the moment it begins, with a manifest beside it, as `backupSqlite` does:
 * the same format restores into either. On a connection of its own: the store's go on.
 *
 * Rejects with CONFIG if the target is taken, CORRUPT for a row that no database of ours can hold, BACKUP_INVALID if the copy
 * is not what was read, the signal's reason, or an error of reading or writing.
 */
export async function backupPostgres(server: Server, file: string, options: BackupOptions): Promise<BackupManifest> {
  rules.checkOptions('The options', BACKUP_RULES, options)
  checkPath(file)
  const { target, now, busyTimeoutMs, mode } = server
  // Whatever its schema: the backup comes before the migration.
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

/** The twins' of those that made the database: names and numbers are the same. Of newer ones, all that are known. */
function migrationsUpTo(schemaVersion: string): readonly Migration[] {
  const known = migrationsOf('sqlite')
  if (schemaVersion === 'none')
    throw new StorageError('SCHEMA_MISMATCH', 'The database has no tables of ours: there is nothing to back up.')
  const last = known.findIndex(({ tag }) => tag === schemaVersion)
  return last === -1 ? known : known.slice(0, last + 1)
}

interface Filling {
  readonly known: readonly Migration[]
  readonly options: BackupOptions
  readonly now: () => Date
}

async function fill(partial: string, snapshot: Snapshot, { known, options, now }: Filling): Promise<Content> {
  const raw = openConnection(partial, { readOnly: false })
  try {
    // It has no name yet: a crash leaves nothing that anybody would open. It is synced when it is complete.
    raw.pragma('journal_mode = OFF')
    raw.pragma('synchronous = OFF')
    await migrateSqlite(raw, new Patience(0), { now }, known)
    raw.exec('BEGIN')
    const progress = await progressOver(snapshot, options)
    const target = targetOn(raw)
    const send = (table: TableName) =>
      sendRows(snapshot, target, table, { isLeftOut: refusing(table), progress, signal: options.signal })
    const nodes = await send('nodes')
    const policies = await send('policies')
    const pathCache = await send('path_cache')
    raw.exec('COMMIT')
    return { nodes, policies, pathCache }
  } finally {
    raw.close()
  }
}

/** None is ever left out. Throws CORRUPT. */
const refusing =
  (table: TableName) =>
  (cells: readonly unknown[]): boolean => {
    const [problem] = problemsOf(table, cells, 'sqlite')
    if (problem === undefined) return false
    throw new StorageError(
      'CORRUPT',
      `${table} ${shownKey(cells[0])}: ${problem.column} ${problem.message}. Another program wrote it; correct or delete the row, then make the backup.`,
    )
  }

async function progressOver(snapshot: Snapshot, { onProgress }: BackupOptions): Promise<(rows: number) => void> {
  if (onProgress === undefined) return () => {}
  let total = 0
  for (const table of TABLE_NAMES) total += await snapshot.count(table)
  let done = 0
  return (rows) => {
    done += rows
    onProgress({ copiedPages: done, totalPages: total })
  }
}
