/** Databases to copy from and into, and what is in them, read past the library. */
import { createHash } from 'node:crypto'
import Sqlite from 'better-sqlite3'
import { inject } from 'vitest'
import { openStorage } from '../../../src/index.ts'
import { createDatabase } from '../../postgres/support/database.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { type OtherProgram, type Row, sqliteProgram, type Table, type Value } from '../../support/other-program.ts'
import { postgresProgram } from '../../support/postgres-backend.ts'

export const TABLES: readonly Table[] = ['nodes', 'policies', 'path_cache']

export interface Place extends AsyncDisposable {
  readonly url: string
  readonly other: OtherProgram
  /** Adds many rows, as they are. */
  readonly fill: (rows: readonly (readonly [Table, Row])[]) => Promise<void>
}

/** Paths that are there before a policy would be invalidated by it. */
const inOrder = (rows: readonly (readonly [Table, Row])[]) =>
  rows.toSorted(([a], [b]) => TABLES.indexOf(a) - TABLES.indexOf(b))

const insertOf = (table: Table, row: Row, place: (at: number) => string): string =>
  `INSERT INTO ${table} (${Object.keys(row).join()}) VALUES (${Object.keys(row)
    .map((_, at) => place(at))
    .join()})`

export interface Kind {
  readonly name: 'SQLite' | 'PostgreSQL'
  readonly dialect: 'sqlite' | 'postgresql'
  /** Opens a place that is empty. */
  readonly open: () => Promise<Place>
}

export const sqlite: Kind = {
  name: 'SQLite',
  dialect: 'sqlite',
  open: async () => {
    const folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const fill: Place['fill'] = async (rows) => {
      const raw = new Sqlite(path, { fileMustExist: true })
      raw.exec('BEGIN')
      for (const [table, row] of inOrder(rows)) raw.prepare(insertOf(table, row, () => '?')).run(Object.values(row))
      raw.exec('COMMIT')
      raw.close()
    }
    return { url: path, other: sqliteProgram(path), fill, [Symbol.asyncDispose]: async () => folder[Symbol.dispose]() }
  },
}

export const postgres: Kind = {
  name: 'PostgreSQL',
  dialect: 'postgresql',
  open: async () => {
    const database = await createDatabase()
    const fill: Place['fill'] = async (rows) => {
      const client = await database.client()
      const inserts = inOrder(rows).map(([table, row]) => {
        const values = Object.values(row).map((value) => client.escapeLiteral(String(value)))
        return insertOf(table, row, (at) => values[at] ?? '')
      })
      // One simple query: each by itself would be a round trip.
      await client.query(`BEGIN; ${inserts.join(';')}; COMMIT`)
    }
    const dispose = () => database[Symbol.asyncDispose]()
    return { url: database.url, other: postgresProgram(database.url), fill, [Symbol.asyncDispose]: dispose }
  },
}

/** The set-up has said loudly what is not tested if there is no server. */
export const kinds: readonly Kind[] = inject('postgresUrl') === '' ? [sqlite] : [sqlite, postgres]

export const directions = kinds.flatMap((from) => kinds.map((to) => ({ from, to, names: [from.name, to.name] })))

/** With our tables, and these rows. None takes another with it. */
export async function filled(place: Place, rows: readonly (readonly [Table, Row])[] = []): Promise<Place> {
  await (await openStorage({ url: place.url, pathCache: { invalidation: 'manual' } })).close()
  await place.fill(rows)
  return place
}

/**
 * A hash that owes nothing to the library: over every value as the driver gives it, by type; of lists over their items, and
 * without the sign of a zero, which SQLite does not keep.
 */
export async function ownHash(place: Place, tables: readonly Table[] = TABLES): Promise<string> {
  const hash = createHash('sha256')
  for (const table of tables) {
    const rows = await place.other.rows(table)
    hash.update(
      JSON.stringify([table, rows.map((row) => Object.entries(row).map(([name, value]) => plain(name, value)))]),
    )
  }
  return hash.digest('hex')
}

function plain(column: string, value: Value): unknown {
  if (column === 'interfaces' || column === 'protocols') return [column, JSON.parse(String(value))]
  if (column.endsWith('_at')) {
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleBE(Number(value) === 0 ? 0 : Number(value))
    return [column, bytes.toString('hex')]
  }
  return [column, typeof value, String(value)]
}

export async function counts(place: Place): Promise<Record<Table, number>> {
  const found = { nodes: 0, policies: 0, path_cache: 0 }
  for (const table of TABLES) found[table] = (await place.other.rows(table)).length
  return found
}
