/** The copy that is made of a file before its schema is changed: of all that is in it, whoever made its tables. */
import { createHash, type Hash } from 'node:crypto'
import type Sqlite from 'better-sqlite3'
import type { BackupOptions } from '../api.ts'
import { openConnection } from '../database/sqlite/connection.ts'
import { StorageError } from '../errors.ts'
import { copyOf } from './copy.ts'
import { isSound } from './integrity.ts'
import { Turns } from './turns.ts'

/** `mesh.db.before-0003_add_region-20261124T175255123Z`: beside the file, and never in the way of another one. */
export const nameBefore = (path: string, before: string, now = new Date()): string =>
  `${path}.before-${before}-${now.toISOString().replaceAll(/[-:.]/g, '')}`

/**
 * Copies the file and verifies the copy. Returns where it is. What was committed is copied, also while another connection
 * holds the lock to write.
 *
 * Rejects with CORRUPT for a damaged file, CONFIG if the target is taken, or an error of reading or writing.
 */
export async function copyBefore(path: string, target: string, options: BackupOptions = {}): Promise<string> {
  const source = openConnection(path, { readOnly: true })
  try {
    source.exec('BEGIN')
    const expected = await everythingIn(source)
    const { file } = await copyOf(source, target, options, {
      verify: async (partial) => {
        if (!(await isSound(partial)))
          throw new StorageError('CORRUPT', 'The database file is damaged (integrity_check). Restore a backup.')
        const copy = openConnection(partial, { readOnly: true })
        try {
          if ((await everythingIn(copy)) === expected) return
          throw new StorageError(
            'BACKUP_INVALID',
            'The copy is not what was read: the disk, or the memory, is at fault.',
          )
        } finally {
          copy.close()
        }
      },
    })
    return file
  } finally {
    source.close()
  }
}

/** A hash over the catalog and every value of every table, in the order in which the table has them. */
async function everythingIn(raw: Sqlite.Database): Promise<string> {
  const hash = createHash('sha256')
  const catalog = raw.prepare<[], { type: string; name: string; sql: string | null }>(
    'SELECT type, name, sql FROM sqlite_schema ORDER BY rowid',
  )
  const objects = catalog.all()
  const turns = new Turns()
  hash.update(JSON.stringify(objects))
  for (const { type, name, sql } of objects) {
    // A virtual table has its rows in others, and may need an extension to be read.
    if (type !== 'table' || /^CREATE VIRTUAL/i.test(sql ?? '')) continue
    let seen = 0
    for (const row of rowsOf(raw, name)) {
      for (const cell of row) add(hash, cell)
      seen++
      if (turns.due()) await turns.next()
    }
    hash.update(`${seen} rows;`)
  }
  return hash.digest('hex')
}

const rowsOf = (raw: Sqlite.Database, name: string): IterableIterator<unknown[]> =>
  raw
    .prepare<[], unknown[]>(`SELECT * FROM "${name.replaceAll('"', '""')}"`)
    .raw()
    .safeIntegers()
    .iterate()

/** With its type and its length, so that no two contents run together. */
function add(hash: Hash, cell: unknown): void {
  const bytes = Buffer.isBuffer(cell) ? cell : Buffer.from(String(cell))
  hash.update(`${Buffer.isBuffer(cell) ? 'blob' : typeof cell}:${bytes.length};`).update(bytes)
}
