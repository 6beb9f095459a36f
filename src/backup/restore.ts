import { existsSync, renameSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type Sqlite from 'better-sqlite3'
import type { BackupManifest, RestoreOptions, RestoreReport } from '../api.ts'
import { configOf, databaseOf } from '../config.ts'
import { openConnection } from '../database/sqlite/connection.ts'
import { isBusy, translated } from '../database/sqlite/errors.ts'
import { prepareFile } from '../database/sqlite/file.ts'
import { StorageError } from '../errors.ts'
import { standingOf } from '../migrator/sqlite-migrator.ts'
import * as rules from '../schema/rules.ts'
import { copyBefore, nameBefore } from './before-migration.ts'
import { copyOf, SIDECARS, stepwise } from './copy.ts'
import { isSound } from './integrity.ts'
import { readAll } from './sqlite-backup.ts'
import { verifyBackup } from './verify.ts'

const OPTION_RULES: rules.Rules = {
  replace: rules.isFlag,
  migrate: rules.isFlag,
  onProgress: rules.isFunction,
  signal: rules.isSignal,
}

/**
 * Writes a verified backup to where a SQLite file is to be, and brings it up to date. What is there is replaced only when
 * `replace` says so, and kept as a copy beside it.
 *
 * Rejects with BACKUP_INVALID; SCHEMA_NEWER for a backup that this version cannot work with; CONFIG if something is there and
 * `replace` is not said; BUSY if it is in use.
 */
export async function restoreBackup(file: string, url: string, options: RestoreOptions = {}): Promise<RestoreReport> {
  rules.checkOptions('The options', OPTION_RULES, options)
  const target = databaseOf(url)
  if (target.dialect !== 'sqlite' || target.path === ':memory:')
    throw new StorageError('CONFIG', 'This version restores a backup to a path of a SQLite file alone.')
  const path = resolve(target.path)
  if (path === resolve(file)) throw new StorageError('CONFIG', 'The backup and the database are the same file.')
  const occupied = occupancyOf(path)
  if (occupied === 'taken' && options.replace !== true) {
    throw new StorageError(
      'CONFIG',
      `There is something at ${path} already. Choose a path where nothing is, or say that it is to be replaced (replace: true, --replace).`,
    )
  }
  const manifest = await verifyBackup(file)
  const source = openConnection(file, { readOnly: true })
  try {
    source.exec('BEGIN')
    // Throws SCHEMA_NEWER and the like, before anything is changed.
    standingOf(source)
    const safetyCopy = occupied === 'vacant' ? undefined : await setAside(path)
    if (existsSync(path)) await overwrite(source, { path, manifest, options })
    else await copyOf(source, path, options, { verify: (partial) => assertSame(partial, manifest) })
    const migrated = options.migrate === false ? [] : await migrate(path).catch(onlyRestored)
    return { ...manifest, restoredTo: path, migrated, ...(safetyCopy !== undefined && { safetyCopy }) }
  } catch (error) {
    throw translated(error)
  } finally {
    source.close()
  }
}

/** `empty`: a file that nobody has put anything into. */
function occupancyOf(path: string): 'vacant' | 'empty' | 'taken' {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) {
    for (const sidecar of SIDECARS) {
      if (!existsSync(path + sidecar)) continue
      throw new StorageError('CONFIG', `${path}${sidecar} is there: remove it, or choose a path where nothing is.`)
    }
    return 'vacant'
  }
  if (!stats.isFile()) throw new StorageError('CONFIG', `${path} is no regular file.`)
  return stats.size === 0 && !SIDECARS.some((sidecar) => existsSync(path + sidecar)) ? 'empty' : 'taken'
}

/**
 * Copies what is there to a name of its own, and leaves the file without a log. One that SQLite cannot read is moved to that
 * name as it is. Returns the name. Throws BUSY if another connection is on it.
 */
async function setAside(path: string): Promise<string | undefined> {
  if (occupancyOf(path) === 'empty') return undefined
  const name = nameBefore(path, 'restore')
  try {
    const raw = openConnection(prepareFile(path, { create: false }), { readOnly: false })
    try {
      await copyBefore(path, name)
      leaveLog(raw)
    } finally {
      raw.close()
    }
  } catch (error) {
    const failure = translated(error)
    if (!(failure instanceof StorageError) || failure.code !== 'CORRUPT') throw failure
    for (const end of ['', ...SIDECARS]) if (existsSync(path + end)) renameSync(path + end, name + end)
  }
  return name
}

/** The log is given up only by a connection that is alone: a running application is found in this way. */
function leaveLog(raw: Sqlite.Database): void {
  try {
    if (raw.pragma('journal_mode = DELETE', { simple: true }) === 'delete') return
  } catch (error) {
    if (!isBusy(translated(error))) throw error
  }
  throw new StorageError('BUSY', 'The database is in use. Stop what uses it, then restore.')
}

interface Overwriting {
  readonly path: string
  readonly manifest: BackupManifest
  readonly options: RestoreOptions
}

/** In one transaction of the file: killed meanwhile, it is as it was. A file is never copied, or renamed, over it. */
async function overwrite(source: Sqlite.Database, { path, manifest, options }: Overwriting): Promise<void> {
  await stepwise(source, path, options)
  await assertSame(path, manifest)
}

async function assertSame(file: string, { tables }: BackupManifest): Promise<void> {
  const found = await readAll(file)
  if (JSON.stringify(found.tables) === JSON.stringify(tables) && (await isSound(file))) return
  throw new StorageError(
    'BACKUP_INVALID',
    'What was written is not what was read: the disk, or the memory, is at fault.',
  )
}

function onlyRestored(error: unknown): never {
  if (!(error instanceof StorageError)) throw error
  const { code, issues, cause } = error
  throw new StorageError(code, `It was restored, and could not be brought up to date: ${error.message}`, {
    issues,
    cause,
  })
}

/** Returns the tags of what was applied. The backup itself is the copy of before. */
async function migrate(path: string): Promise<string[]> {
  const applied: string[] = []
  const config = configOf({ url: path })
  const migration = { backup: async () => {}, onApplied: ({ tag }: { tag: string }) => void applied.push(tag) }
  const database = await config.open({ ...config, migration })
  await database.close()
  return applied
}
