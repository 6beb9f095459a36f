/**
 * A backup of PostgreSQL has own tables without indexes, defaults, foreign keys and triggers. It is restored into a SQLite
 * file in which the application's migrations have made them.
 */
import { rmSync } from 'node:fs'
import type Sqlite from 'better-sqlite3'
import { hasBareTables } from '../backup/bare-tables.ts'
import { SIDECARS } from '../backup/new-file.ts'
import { finished, partialOf } from '../backup/partial.ts'
import { forgetChanges } from '../backup/without-change-log.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { appMigrationsIn } from '../migrator/app-ledger.ts'
import { OUR_TABLES_ALONE } from '../rows/own-tables.ts'
import { sendRows } from '../rows/send.ts'
import { snapshotOf } from '../rows/sqlite-source.ts'
import { tablesIn } from '../rows/sqlite-tables.ts'
import { targetOn } from '../rows/sqlite-target.ts'
import { END_KEEPING, KEEP_PATHS } from '../rows/target.ts'
import { tablesFor } from '../rows/target-tables.ts'
import { quotedName } from '../schema/described.ts'
import { BOOKKEEPING } from '../schema/tables.ts'
import { preflightTarget } from './safety-copy.ts'

/** Throws SCHEMA_MISMATCH if the backup needs own tables that the file does not have. Writes nothing. */
export async function assertTablesFor(backup: Sqlite.Database, path: string): Promise<void> {
  if (!hasBareTables(backup)) return
  using target = preflightTarget(path) === 'taken' ? openConnection(path, { readOnly: true }) : undefined
  const there = target === undefined ? OUR_TABLES_ALONE : tablesIn(target)
  await tablesFor(snapshotOf(backup), there, 'never', {
    applied: async () => (target === undefined ? [] : appMigrationsIn(target)),
    next: NEXT,
  })
}

/** The application makes a file, which a restore without `replace` would refuse. */
const NEXT = 'Close the store, then restore with --replace (replace: true).'

/** Calls `work` with the backup, or with its rows in a copy of the file, which is deleted afterwards. */
export async function withTablesOf<T>(
  backup: Sqlite.Database,
  path: string,
  work: (source: Sqlite.Database) => Promise<T>,
): Promise<T> {
  if (!hasBareTables(backup)) return work(backup)
  const partial = partialOf(path)
  try {
    await copied(path, partial)
    forgetChanges(partial)
    await fill(partial, backup)
    using source = openConnection(partial, { readOnly: true })
    source.exec('BEGIN')
    return await work(source)
  } finally {
    for (const end of ['', ...SIDECARS]) rmSync(partial + end, { force: true })
    finished(partial)
  }
}

async function copied(path: string, partial: string): Promise<void> {
  using target = openConnection(path, { readOnly: true })
  target.prepare('VACUUM INTO ?').run(partial)
}

async function fill(partial: string, backup: Sqlite.Database): Promise<void> {
  using raw = openConnection(partial, { readOnly: false })
  raw.exec('BEGIN')
  raw.exec(END_KEEPING)
  raw.exec(KEEP_PATHS.replace(' RETURNING name', ''))
  for (const { name } of tablesIn(raw).tables.toReversed()) raw.exec(`DELETE FROM ${quotedName(name)}`)
  for (const name of BOOKKEEPING) if (name !== 'meshstore_state') raw.exec(`DELETE FROM ${name}`)
  const snapshot = snapshotOf(backup)
  const target = targetOn(raw)
  const { tables } = await tablesFor(snapshot, tablesIn(raw), 'never')
  for (const table of tables)
    await sendRows(snapshot, target, table, { isLeftOut: () => false, progress: () => {}, signal: undefined })
  raw.exec(END_KEEPING)
  raw.exec('COMMIT')
}
