import type { CopyOptions, RestoreOptions, RestoreReport } from '../api.ts'
import { verifyBackup } from '../backup/verify.ts'
import type { PostgresTarget } from '../database/postgres/url.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { StorageError } from '../errors.ts'
import { migrationStatusOf } from '../migrator/sqlite-migrator.ts'
import { copyingOf, copySnapshot } from '../move/copy.ts'
import { assertEmpty } from '../move/preflight.ts'
import { snapshotOf } from '../rows/sqlite-source.ts'

/**
 * Copies a verified backup into an empty database of a server, in one transaction, and compares it before that is committed.
 * The backup may have any schema version: the rows are the same in every version.
 */
export async function restoreIntoPostgres(
  file: string,
  url: string,
  { replace, migrate, ignoreOtherTables, onProgress, signal, dryRun }: RestoreOptions & { dryRun?: boolean },
  target: PostgresTarget,
): Promise<RestoreReport> {
  if (replace === true)
    throw new StorageError('CONFIG', 'On PostgreSQL nothing is replaced. Nothing was changed. Name an empty database.')
  if (migrate === false)
    throw new StorageError(
      'CONFIG',
      'On PostgreSQL a backup is restored into tables of the current schema only. Nothing was changed. Leave --no-migrate (migrate: false) out.',
    )
  const there = await assertEmpty(url, BUSY_MS)
  const options: CopyOptions = {
    signal,
    dryRun,
    ignoreOtherTables,
    busyTimeoutMs: BUSY_MS,
    onProgress: ({ step, done, total }) => {
      if (step === 'copying') onProgress?.({ copiedPages: done, totalPages: total })
    },
  }
  const copying = copyingOf(file, url, options, there)
  const manifest = await verifyBackup(file)
  using source = openConnection(file, { readOnly: true })
  source.exec('BEGIN')
  // Throws SCHEMA_NEWER and the like, before anything is changed.
  migrationStatusOf(source)
  const { migrated, leftBehind } = await copySnapshot(snapshotOf(source), { ...copying, advice: ADVICE })
  return { ...manifest, restoredTo: shownTarget(target), migrated, ...(leftBehind && { leftBehind }) }
}

/** How long to wait for other programs' locks, in milliseconds. */
const BUSY_MS = 5_000
const ADVICE = 'Restore the backup into a SQLite file, and copy that with meshstore copy --quarantine FILE.'

/** Without the user and the password. */
const shownTarget = ({ host, port = 5432, database = '' }: PostgresTarget): string =>
  `postgres://${host.includes(':') ? `[${host}]` : encodeURIComponent(host)}:${port}/${encodeURIComponent(database)}`
