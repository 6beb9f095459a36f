/** Copies a file before a migration or a restore changes it, with the tables of all programs. */
import { createHash, type Hash } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type Sqlite from 'better-sqlite3'
import type { BackupOptions } from '../api.ts'
import { openConnection } from '../database/sqlite/raw-connection.ts'
import { StorageError } from '../errors.ts'
import { EventLoopYield } from '../event-loop.ts'
import { timeOf } from '../migrator/steps.ts'
import { quotedName } from '../schema/described.ts'
import { isSound } from './integrity.ts'
import { isManifestOf, manifestPath, manifestText } from './manifest.ts'
import { copyOf } from './new-file.ts'
import { namesBeside, PARTIAL } from './partial.ts'
import { describe } from './sqlite-backup.ts'
import { verifyBackup } from './verify.ts'

/** The copy's name beside the file: `mesh.db.before-0003_add_region-20261124T175255123Z`. Each name is new. */
export const nameBefore = (path: string, before: string, time: Date): string =>
  `${path}.before-${before}-${time.toISOString().replaceAll(/[-:.]/g, '')}`

/** A copy; `discard` deletes it and its manifest. */
export interface Copy {
  readonly file: string
  readonly discard: () => void
}

export interface BeforeMigration extends BackupOptions {
  /** Path of the copy. Default: a name beside the file. */
  readonly target?: string | undefined
  /** Default: the system's clock. */
  readonly now?: (() => Date) | undefined
}

/**
 * Copies the file, verifies the copy, and puts a manifest beside it: you can restore it like any backup. The copy holds the committed
 * data, also while another connection holds the write lock. The caller that changes the file holds that lock, so only one process
 * makes such a copy at a time. A copy that a failed or killed run left is used again if its content is the same.
 *
 * Rejects with CORRUPT for a damaged file, CONFIG if the target is taken, or an error of reading or writing.
 */
export function copyBeforeMigration(path: string, before: string, options: BeforeMigration = {}): Promise<Copy> {
  sweep(path)
  return withSource(path, async (source) => {
    const expected = await everythingIn(source)
    const time = timeOf(options)
    const { target = nameBefore(path, before, time) } = options
    const earlier = options.target ?? copiesBefore(path, before).at(-1)
    if (earlier !== undefined && (await saysTheSame(earlier, expected)))
      return { file: resolve(earlier), discard: () => {} }
    return copyTo(source, target, options, { expected, createdAt: time })
  })
}

async function withSource<T>(path: string, use: (source: Sqlite.Database) => Promise<T>): Promise<T> {
  using source = openConnection(path, { readOnly: true })
  source.exec('BEGIN')
  return await use(source)
}

async function copyTo(
  source: Sqlite.Database,
  target: string,
  options: BackupOptions,
  { expected, createdAt }: { expected: string; createdAt: Date },
): Promise<Copy> {
  const { file } = await copyOf(source, target, options, {
    verify: async (partial) => {
      if (!(await isSound(partial)))
        throw new StorageError(
          'CORRUPT',
          'The database file is damaged (integrity_check). Nothing was changed. Keep the file, then restore a backup.',
        )
      if ((await everythingInFile(partial)) !== expected)
        throw new StorageError(
          'BACKUP_INVALID',
          'The copy is not the same as the database. Nothing was changed. Check the disk and the memory.',
        )
      return describe(partial, createdAt)
    },
    beside: (manifest) => ({ path: manifestPath(resolve(target)), text: manifestText(manifest) }),
  })
  const discard = (): void => {
    for (const each of [file, manifestPath(file)]) rmSync(each, { force: true })
  }
  return { file, discard }
}

/** Deletes unfinished files and manifests without a copy. Their process has ended: this process holds the lock. */
function sweep(path: string): void {
  const names = namesBeside(`${path}.before-`).filter((name) => /\.before-(adoption|repair|restore|\d{4}_)/.test(name))
  for (const name of names) {
    const file = join(dirname(path), name)
    const of = file.slice(0, -manifestPath('').length)
    const isAlone = file === manifestPath(of) && !existsSync(of) && isManifestOf(of)
    if (PARTIAL.test(name) || isAlone) rmSync(file, { force: true })
  }
}

/** Oldest first. */
export const copiesBefore = (path: string, before: string): string[] =>
  namesBeside(`${path}.before-${before}-`)
    .filter((name) => /Z$/.test(name))
    .map((name) => join(dirname(path), name))
    .sort()

async function saysTheSame(file: string, expected: string): Promise<boolean> {
  try {
    await verifyBackup(file)
    return (await everythingInFile(file)) === expected
  } catch {
    // The old copy cannot be used: make a new one, which reports its own errors.
    return false
  }
}

async function everythingInFile(file: string): Promise<string> {
  using raw = openConnection(file, { readOnly: true })
  return await everythingIn(raw)
}

/** Hashes the catalog and each value of each table, in the tables' own order. */
async function everythingIn(raw: Sqlite.Database): Promise<string> {
  const hash = createHash('sha256')
  const catalog = raw.prepare<[], { type: string; name: string; sql: string | null }>(
    'SELECT type, name, sql FROM sqlite_schema ORDER BY rowid',
  )
  const objects = catalog.all()
  const yielding = new EventLoopYield()
  hash.update(JSON.stringify(objects))
  for (const { type, name, sql } of objects) {
    // Other tables hold a virtual table's rows. Reading it may need an extension.
    if (type !== 'table' || /^CREATE VIRTUAL/i.test(sql ?? '')) continue
    let seen = 0
    for (const row of rowsOf(raw, name)) {
      for (const cell of row) add(hash, cell)
      seen++
      if (yielding.isDue()) await yielding.now()
    }
    hash.update(`${seen} rows;`)
  }
  return hash.digest('hex')
}

const rowsOf = (raw: Sqlite.Database, name: string): IterableIterator<unknown[]> =>
  raw
    .prepare<[], unknown[]>(`SELECT * FROM ${quotedName(name)}`)
    .raw()
    .safeIntegers()
    .iterate()

/** Hashes a cell with its type and its length, so that the hash is unambiguous. */
function add(hash: Hash, cell: unknown): void {
  const bytes = Buffer.isBuffer(cell) ? cell : Buffer.from(String(cell))
  hash.update(`${Buffer.isBuffer(cell) ? 'blob' : typeof cell}:${bytes.length};`).update(bytes)
}
