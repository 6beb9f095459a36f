/** The application's tables that are not described, and its columns in described tables. They are not copied. */
import type { OtherData } from '../api.ts'
import { StorageError } from '../errors.ts'
import { OUR_TABLES } from '../schema/tables.ts'

/**
 * Tables without application data: ours, the ledgers of migrations, and the bookkeeping of SQLite and Litestream. Names are
 * case-insensitive.
 */
const KNOWN = new Set([...OUR_TABLES, '__drizzle_migrations', '__app_migrations'])
export const isKnown = (table: string): boolean =>
  KNOWN.has(table.toLowerCase()) || /^(sqlite_|meshstore_|_litestream_)/i.test(table)

/** Leaves out empty tables and columns. */
export const withRows = (found: readonly OtherData[]): OtherData[] => found.filter(({ rows }) => rows !== 0)

/** `links (3 rows), nodes.color (1 row)` */
export const otherDataText = (found: readonly OtherData[]): string =>
  found
    .map(({ table, column, rows }) => {
      const many = rows === undefined ? 'rows not counted' : `${rows} ${rows === 1 ? 'row' : 'rows'}`
      return `${column === undefined ? table : `${table}.${column}`} (${many})`
    })
    .join(', ')

/** Throws SCHEMA_MISMATCH if data would be left behind, unless `ignore` is set. Returns `found`. */
export function assertNoOthers(found: readonly OtherData[], ignore: boolean | undefined): readonly OtherData[] {
  if (found.length === 0 || ignore === true) return found
  throw new StorageError(
    'SCHEMA_MISMATCH',
    `The database holds data of other tables, which would be left behind: ${otherDataText(found)}. Nothing was changed. Copy it by other means, then leave it out here with ignoreOtherTables (--ignore-other-tables).`,
    {
      issues: found.map(({ table, column, rows }) => ({
        path: column === undefined ? table : `${table}.${column}`,
        message: rows === undefined ? 'would be left behind' : `would be left behind with ${rows} rows`,
      })),
    },
  )
}
