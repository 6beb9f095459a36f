import { statSync } from 'node:fs'
import type { BackupManifest, BackupOptions } from '../api.ts'
import { translated } from '../database/sqlite/errors.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import type { SqliteDatabase } from '../database/sqlite/sqlite-database.ts'
import { StorageError } from '../errors.ts'
import { schemaVersionOf } from '../migrator/sqlite-migrator.ts'
import { type Content, contentOf } from '../rows/content-hash.ts'
import * as rules from '../schema/rules.ts'
import { isSound } from './integrity.ts'
import { type Described, fileHash, manifestPath, manifestText, withFile } from './manifest.ts'
import { copyOf } from './new-file.ts'
import { forgetChanges } from './without-change-log.ts'

export const BACKUP_RULES: rules.Rules = { onProgress: rules.isFunction, signal: rules.isSignal }

/**
 * Copies a consistent snapshot into a new file, with a manifest beside it. Both get their names only when the copy is verified
 * against the content that was read. A failure leaves nothing. `path` is absolute.
 *
 * Rejects with CONFIG if the target exists, CORRUPT if the database is damaged, BACKUP_INVALID if the copy differs from what was
 * read, the signal's reason, or an I/O error.
 */
export async function backupSqlite(
  database: SqliteDatabase,
  path: string,
  options: BackupOptions,
  now: () => Date,
): Promise<BackupManifest> {
  rules.checkOptions('The options', BACKUP_RULES, options)
  return database.withSnapshot('a backup', async ({ raw }, ended) => {
    const createdAt = now()
    const signal = options.signal === undefined ? ended : AbortSignal.any([options.signal, ended])
    // Reads each row: a damaged row is found now, and not when the backup is needed.
    const expected = await contentOf(raw, signal).catch((error: unknown) => {
      throw translated(error)
    })
    signal.throwIfAborted()
    const { file, verified } = await copyOf(
      raw,
      path,
      { ...options, signal },
      {
        verify: (partial) => {
          forgetChanges(partial)
          return described(partial, expected, createdAt)
        },
        beside: (manifest) => ({ path: manifestPath(path), text: manifestText(manifest) }),
      },
    )
    return withFile(file, verified)
  })
}

/** Verifies a finished copy against the content that was read, and returns the content of its manifest. */
export async function described(partial: string, expected: Content | undefined, createdAt: Date): Promise<Described> {
  if (!(await isSound(partial))) {
    throw new StorageError(
      'CORRUPT',
      'The database file is damaged (integrity_check). No backup was made. Keep the file, then restore an earlier backup.',
    )
  }
  const found = await describe(partial, createdAt)
  if (expected === undefined || !isSameContent(found, expected)) {
    throw new StorageError(
      'BACKUP_INVALID',
      'The copy is not the same as the database. No backup was made. Check the disk and the memory.',
    )
  }
  return found
}

/** Compares every table's content. An own table without rows counts as one that is not there. */
export const isSameContent = (a: Content, b: Content): boolean => textOf(a) === textOf(b)
const textOf = ({ tables, ownTables = {} }: Content): string =>
  JSON.stringify([tables, Object.entries(ownTables).filter(([, { rows }]) => rows > 0)])

/** Returns the content of a file's manifest. No other connection has the file open. */
export async function describe(file: string, createdAt: Date): Promise<Described> {
  const content = await readAll(file)
  return { createdAt, bytes: statSync(file).size, sha256: await fileHash(file), ...content }
}

/** Reads each row of a file that no other connection has open. */
export async function readAll(file: string): Promise<Pick<Described, 'schemaVersion'> & Content> {
  using raw = openConnection(file, { readOnly: true })
  return { schemaVersion: schemaVersionOf(raw), ...(await contentOf(raw)) }
}
