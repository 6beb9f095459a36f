import type Sqlite from 'better-sqlite3'
import type { BackupManifest, RestoreOptions, RestoreReport } from '../api.ts'
import { isSound } from '../backup/integrity.ts'
import { copyOf, stepwise } from '../backup/new-file.ts'
import { sweepPartials } from '../backup/partial.ts'
import { isSameContent, readAll } from '../backup/sqlite-backup.ts'
import { verifyBackup } from '../backup/verify.ts'
import { forgetChanges } from '../backup/without-change-log.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { StorageError } from '../errors.ts'
import { translatedFile } from '../files/file-errors.ts'
import { checkPath, realPath } from '../files/path-rules.ts'
import { migrationStatusOf } from '../migrator/sqlite-migrator.ts'
import { configOf, databaseOf } from '../open/config.ts'
import { openTarget } from '../open/open.ts'
import * as rules from '../schema/rules.ts'
import { assertTablesFor, withTablesOf } from './into-own-tables.ts'
import {
  assertNotInUse,
  assertUntouched,
  finishInterruptedRename,
  makeSafetyCopy,
  preflightTarget,
  type SafetyCopy,
} from './safety-copy.ts'

const OPTION_RULES: rules.Rules = {
  replace: rules.isFlag,
  migrate: rules.isFlag,
  ignoreOtherTables: rules.isFlag,
  onProgress: rules.isFunction,
  signal: rules.isSignal,
}

/**
 * Writes a verified backup to a SQLite file or an empty PostgreSQL database, and brings the schema up to date. An existing file is
 * replaced only with `replace`, and a copy of it is kept beside it.
 *
 * Rejects with BACKUP_INVALID; SCHEMA_NEWER for a backup that this version cannot work with; CONFIG if the path is taken and `replace`
 * is not set; BUSY if the file is in use. `verified`: the manifest of a backup that this process has just verified.
 */
export async function restoreBackup(
  file: string,
  url: string,
  options: RestoreOptions = {},
  verified?: BackupManifest,
): Promise<RestoreReport> {
  rules.checkOptions('The options', OPTION_RULES, options)
  checkPath(file)
  const target = databaseOf(url)
  try {
    if (target.dialect === 'postgresql') {
      const from = realPath(file)
      const { restoreIntoPostgres } = await import('./postgres-restore.ts')
      return await restoreIntoPostgres(from, url, options, target)
    }
    const { from, to } = placesOf(file, target)
    return await restored(from, to, options, verified)
  } catch (error) {
    throw translatedFile(error)
  }
}

/** Resolves both paths now: the working folder may change later. */
function placesOf(file: string, target: ReturnType<typeof databaseOf>): { from: string; to: string } {
  checkPath(file)
  if (target.dialect !== 'sqlite' || target.path === ':memory:')
    throw new StorageError('CONFIG', 'A database in memory is gone with the process. Name a file.')
  return { from: realPath(file), to: realPath(target.path) }
}

export interface RestorePreview {
  readonly backup: BackupManifest
  readonly target: string
  /** Whether a database exists at the target, which the restore would replace. */
  readonly replaces: boolean
}

/** Dry run for a file: rejects with the error that a restore with `replace` would reject with. Writes nothing. */
export async function previewRestore(file: string, url: string): Promise<RestorePreview> {
  const { from, to } = placesOf(file, databaseOf(url))
  try {
    assertTwo(from, to)
    const backup = await verifyBackup(from)
    await assertRestorable(from, to)
    const replaces = preflightTarget(to) === 'taken'
    if (replaces) assertNotInUse(to)
    return { backup, target: to, replaces }
  } catch (error) {
    throw translatedFile(error)
  }
}

function assertTwo(from: string, to: string): void {
  if (from === to)
    throw new StorageError(
      'CONFIG',
      'The backup and the database are the same file. Nothing was changed. Name another target.',
    )
}

async function assertRestorable(file: string, path: string): Promise<void> {
  using raw = openConnection(file, { readOnly: true })
  migrationStatusOf(raw)
  await assertTablesFor(raw, path)
}

async function restored(
  file: string,
  path: string,
  options: RestoreOptions,
  verified: BackupManifest | undefined,
): Promise<RestoreReport> {
  assertTwo(file, path)
  // Clean up after a killed restore: the file may also still have its unfinished name.
  sweepPartials(path)
  finishInterruptedRename(path)
  if (preflightTarget(path) === 'taken' && options.replace !== true) throw taken(path)
  const manifest = verified ?? (await verifyBackup(file))
  using source = openConnection(file, { readOnly: true })
  source.exec('BEGIN')
  // Throws SCHEMA_NEWER and the like, before anything is changed.
  migrationStatusOf(source)
  await assertTablesFor(source, path)
  // Another process may have created a file there meanwhile.
  if (preflightTarget(path) === 'taken' && options.replace !== true) throw taken(path)
  const safety = await withTablesOf(source, path, async (rows) => {
    const safety = await makeSafetyCopy(path, options.signal)
    await write(rows, { path, manifest, options, safety })
    return safety
  })
  const migrated = options.migrate === false ? [] : await migrate(path).catch(onlyRestored)
  const { path: safetyCopy } = safety
  return { ...manifest, restoredTo: path, migrated, ...(safetyCopy !== undefined && { safetyCopy }) }
}

const taken = (path: string): StorageError =>
  new StorageError(
    'CONFIG',
    `There is something at ${path} already. Nothing was changed. Choose another path, or replace it with replace: true (--replace).`,
  )

interface Writing {
  readonly path: string
  readonly manifest: BackupManifest
  readonly options: RestoreOptions
  readonly safety: SafetyCopy
}

async function write(source: Sqlite.Database, { path, manifest, options, safety }: Writing): Promise<void> {
  try {
    if (safety.version === undefined)
      await copyOf(source, path, options, {
        // A copy that was made before a migration still has its change log.
        verify: (partial) => {
          forgetChanges(partial)
          return assertSame(partial, manifest)
        },
        makeRoom: safety.makeRoom,
      })
    else await overwrite(source, { path, options, safety })
  } catch (error) {
    await safety.undo()
    throw error
  }
  if (safety.version === undefined) return
  forgetChanges(path)
  await assertSame(path, manifest, safety.path)
}

/** Overwrites the file's pages in one transaction: after a crash the old content is there. Renaming over it would lose locks. */
async function overwrite(
  source: Sqlite.Database,
  { path, options, safety }: Pick<Writing, 'path' | 'options' | 'safety'>,
): Promise<void> {
  let begun = false
  await stepwise(source, path, {
    ...options,
    onProgress: (progress) => {
      // The first step holds the lock, and has copied nothing yet.
      if (!begun) assertUntouched(path, safety)
      begun = true
      options.onProgress?.(progress)
    },
  })
}

async function assertSame(file: string, manifest: BackupManifest, safetyCopy?: string): Promise<void> {
  if (isSameContent(await readAll(file), manifest) && (await isSound(file))) return
  const before = safetyCopy === undefined ? '' : ` The database from before is kept in ${safetyCopy}.`
  throw new StorageError(
    'BACKUP_INVALID',
    `The rows that were written are not those that were read. The restored database must not be used: check the disk and the memory.${before}`,
  )
}

function onlyRestored(error: unknown): never {
  if (!(error instanceof StorageError)) throw error
  const { code, issues, cause } = error
  throw new StorageError(
    code,
    `It was restored, and could not be brought up to date. The restored rows are whole: correct the cause, then run meshstore migrate up. ${error.message}`,
    {
      issues,
      cause,
    },
  )
}

/** Returns the tags of the applied migrations. The backup itself serves as the copy before the migration. */
async function migrate(path: string): Promise<string[]> {
  const applied: string[] = []
  const config = configOf({ url: path })
  const migration = { backup: async () => undefined, onApplied: ({ tag }: { tag: string }) => void applied.push(tag) }
  const database = await openTarget(config.target, { ...config, migration })
  await database.close()
  return applied
}
