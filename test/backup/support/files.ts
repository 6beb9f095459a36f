/** Databases and backups to work on, and what is in them and beside them, read past the library. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { type BackupManifest, type Meshstore, openStorage } from '../../../src/index.ts'
import type { TemporaryFolder } from '../../support/folders.ts'
import { manyNodes } from '../../support/samples.ts'

export const manifestOf = (file: string): string => `${file}.manifest.json`

/** 800 bytes. */
const interfaces = Array.from({ length: 20 }, (_, index) => `interface-number-${index}-with-a-very-long-name`)

/** A database with so many nodes of one kind, closed: with 6,000 of them a copy takes several steps. */
export async function database(path: string, nodes = 50, prefix = 'n'): Promise<string> {
  await using store = await openStorage(path)
  await store.nodes.createMany(manyNodes(nodes, prefix).map((node) => ({ ...node, interfaces })))
  return path
}

/** A backup of such a database, which is gone again. */
export async function backupOf(folder: TemporaryFolder, name: string, nodes = 50): Promise<BackupManifest> {
  const path = await database(folder.file(`${name}-source`, 'mesh.db'), nodes, name)
  await using store = await openStorage(path)
  return await store.backup(folder.file(name))
}

/** Makes a backup of a store that shows a moment which is chosen. */
export async function backupAt(path: string, file: string, time: string): Promise<BackupManifest> {
  await using store = await openStorage({ url: path, now: () => new Date(time) })
  return await store.backup(file)
}

/** The rows of our tables and of the own ones, as they are stored. Opens the file as any program would: a hot journal is rolled back. */
export function contentOf(path: string): string {
  const raw = new Sqlite(path, { fileMustExist: true })
  try {
    if (raw.pragma('integrity_check', { simple: true }) !== 'ok') return 'damaged'
    const hash = createHash('sha256')
    const own = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name IN ('links', 'sites') ORDER BY name"
    const tables = ['nodes', 'policies', 'path_cache', ...raw.prepare<[], string>(own).pluck().all()]
    for (const table of tables) {
      const rows = raw.prepare(`SELECT rowid, * FROM ${table} ORDER BY rowid`).raw().safeIntegers().all()
      hash.update(JSON.stringify(rows, (_, value) => (typeof value === 'bigint' ? `${value}n` : value)))
    }
    return hash.digest('hex')
  } finally {
    raw.close()
  }
}

export const namesIn = (folder: string): string[] => readdirSync(folder).sort()

/** Everything in a folder, byte for byte. */
export const bytesIn = (folder: string): Record<string, string> =>
  Object.fromEntries(
    namesIn(folder)
      .filter((name) => statSync(`${folder}/${name}`).isFile())
      .map((name) => [name, readFileSync(`${folder}/${name}`, 'base64')]),
  )

/** The ids of all nodes. */
export async function idsOf(store: Meshstore): Promise<string[]> {
  const ids: string[] = []
  for await (const { nodeId } of store.nodes.iterate()) ids.push(nodeId)
  return ids
}

/** A name of the copy that a restore makes of what was there. */
export const SAFETY_COPY = /^mesh\.db\.before-restore-\d{8}T\d{9}Z$/
