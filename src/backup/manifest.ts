/**
 * The manifest beside a backup: its time, and hashes of its content. Verification detects a changed file, a changed manifest, and a
 * manifest of another backup.
 */
import { createHash } from 'node:crypto'
import { createReadStream, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { BackupManifest, TableContent } from '../api.ts'
import { StorageError } from '../errors.ts'
import { ofEachTable } from '../schema/tables.ts'

const FORMAT = 'meshstore-backup'
/** Version 2 names the tables that the backup leaves out. Version 3 has own tables. */
const VERSION = 3

export const manifestPath = (file: string): string => `${file}.manifest.json`

/** The content of a manifest, without the file's path. */
export type Described = Omit<BackupManifest, 'file'>

/** The manifest's text. Its last property is a hash over the others. */
export function manifestText(described: Described): string {
  const { createdAt, bytes, sha256, schemaVersion, tables, ownTables, leftBehind } = described
  const body = {
    format: FORMAT,
    version: ownTables !== undefined ? VERSION : leftBehind === undefined ? 1 : 2,
    createdAt: createdAt.toISOString(),
    bytes,
    sha256,
    schemaVersion,
    tables: ofEachTable(({ twin }) => contentOf(tables[twin])),
    ownTables: ownTables && mapped(ownTables),
    leftBehind: leftBehind?.map(({ table, column, rows }) => ({ table, column, rows })),
  }
  return `${JSON.stringify({ ...body, manifestSha256: hashOf(JSON.stringify(body)) }, null, 2)}\n`
}

const contentOf = ({ rows, sha256 }: TableContent): TableContent => ({ rows, sha256 })
const mapped = (ownTables: Readonly<Record<string, TableContent>>): Readonly<Record<string, TableContent>> =>
  Object.fromEntries(Object.entries(ownTables).map(([name, content]) => [name, contentOf(content)]))
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Throws BACKUP_INVALID if the manifest is missing, or was changed. */
export function readManifest(file: string): Described {
  const path = manifestPath(file)
  const text = textOf(path)
  const described = parsed(text, path)
  // Compare each byte: a manifest that this code would write otherwise was changed.
  if (manifestText(described) !== text) throw invalid(`${path} was changed`)
  return described
}

/** Whether the file has a sound manifest. The file itself may be missing. */
export function isManifestOf(file: string): boolean {
  try {
    readManifest(file)
    return true
  } catch {
    return false
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw invalid(`There is no manifest at ${path}`, error)
  }
}

function parsed(text: string, path: string): Described {
  try {
    const { format, version, bytes, sha256, schemaVersion, tables, ownTables, leftBehind, ...rest } = JSON.parse(text)
    if (format !== FORMAT) throw invalid(`${path} is no manifest of a backup`)
    if (version > VERSION) throw invalid(`${path} was written by a newer version of this package; use that one`)
    ofEachTable(({ twin }) => contentOf(tables[twin]))
    const createdAt = new Date(rest.createdAt)
    if (Number.isNaN(createdAt.getTime())) throw invalid(`${path} is damaged`)
    return {
      createdAt,
      bytes,
      sha256,
      schemaVersion,
      tables,
      ...(ownTables && { ownTables: mapped(ownTables) }),
      ...(leftBehind && { leftBehind }),
    }
  } catch (error) {
    if (error instanceof StorageError) throw error
    throw invalid(`${path} is damaged`, error)
  }
}

const invalid = (what: string, cause?: unknown): StorageError =>
  new StorageError(
    'BACKUP_INVALID',
    `${what}. The backup must not be trusted, and nothing was restored. Use another backup.`,
    { cause },
  )

/** Call it only for a file that this process does not have open in SQLite: closing the handle would drop SQLite's locks. */
export async function fileHash(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

export const withFile = (file: string, described: Described): BackupManifest => ({ file: resolve(file), ...described })
