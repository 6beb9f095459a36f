/** A backup, what is restored from it, and whether they hold the same. */
import Sqlite from 'better-sqlite3'
import { type BackupManifest, type Meshstore, restoreBackup } from '../../src/index.ts'

export interface BackupCheck {
  readonly backupMs: number
  readonly restoreMs: number
  readonly bytes: number
  readonly rows: { readonly nodes: number; readonly policies: number; readonly pathCache: number }
  /** The hashes over the content that the library makes. */
  readonly hashesEqual: boolean
  /** Row by row, value by value, read with the raw driver. */
  readonly rowsEqual: boolean
}

export async function backUpAndRestore(
  store: Meshstore,
  files: { readonly backup: string; readonly restored: string },
): Promise<BackupCheck> {
  const begun = performance.now()
  const made = await store.backup(files.backup)
  const between = performance.now()
  const restored = await restoreBackup(files.backup, files.restored)
  const restoreMs = performance.now() - between
  const { nodes, policies, pathCache } = made.tables
  return {
    backupMs: between - begun,
    restoreMs,
    bytes: made.bytes,
    rows: { nodes: nodes.rows, policies: policies.rows, pathCache: pathCache.rows },
    hashesEqual: hashesOf(made) === hashesOf(restored),
    rowsEqual: sameRows(files.backup, files.restored),
  }
}

const hashesOf = ({ tables }: BackupManifest): string => JSON.stringify(tables)

const TABLES = ['nodes', 'policies', 'path_cache'] as const

/** Whether two database files, which nobody else has open, hold the same rows. */
export function sameRows(one: string, other: string): boolean {
  // Not read-only: the last to close a file must be able to remove its log.
  const [a, b] = [one, other].map((file) => new Sqlite(file, { fileMustExist: true })) as [
    Sqlite.Database,
    Sqlite.Database,
  ]
  try {
    return TABLES.every((table) => {
      const [rows, others] = [a, b].map((raw) => raw.prepare(`SELECT * FROM ${table} ORDER BY 1`).raw().all())
      return JSON.stringify(rows) === JSON.stringify(others)
    })
  } finally {
    a.close()
    b.close()
  }
}
