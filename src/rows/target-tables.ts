/** Which own tables of a source its target can take: the application's migrations make them there, and no copy does. */
import type { OtherData } from '../api.ts'
import { StorageError } from '../errors.ts'
import { type AppMigration, shownMigration } from '../migrator/app-ledger.ts'
import type { Table } from '../schema/tables.ts'
import { type DatabaseTables, inOrder, isOwn, ownOf, tableIn } from './own-tables.ts'
import type { Snapshot } from './source.ts'

interface Asking {
  /** The application's migrations that the target has. */
  readonly applied?: () => Promise<readonly AppMigration[]>
  /** A sentence: what to do once the target has the tables. */
  readonly next?: string
}

interface Taken extends DatabaseTables {
  readonly leftBehind: readonly OtherData[]
}

/**
 * The source's tables that the target has as well, with the foreign keys of both. Throws SCHEMA_MISMATCH if an own table is missing there or is another one;
 * `ignore` leaves such tables behind, and `'never'` says that the caller has no such option.
 */
export async function tablesFor(
  snapshot: Pick<Snapshot, 'tables' | 'appMigrations' | 'count'>,
  target: DatabaseTables,
  ignore: boolean | 'never' | undefined,
  { applied = async () => [], next }: Asking = {},
): Promise<Taken> {
  const { tables, foreignKeys } = await snapshot.tables()
  const missing = tables.filter((table) => isOwn(table) && !isThere(table, target.tables))
  if (missing.length > 0 && ignore !== true) {
    const option = ignore === 'never' ? '' : ' To leave these tables out: ignoreOtherTables (--ignore-other-tables).'
    const steps = advice(await snapshot.appMigrations(), await applied(), next)
    throw refusal(missing, target.tables, `${steps}${option}`)
  }
  const leftBehind: OtherData[] = []
  for (const table of missing) leftBehind.push({ table: table.name, rows: await snapshot.count(table) })
  const taken = ownOf(tables).filter((table) => !missing.includes(table))
  const keys = new Map([...foreignKeys, ...target.foreignKeys].map((key) => [JSON.stringify(key), key]))
  return { ...inOrder(taken, [...keys.values()]), leftBehind: leftBehind.filter(({ rows }) => rows !== 0) }
}

function isThere(table: Table, target: readonly Table[]): boolean {
  const there = tableIn(target, table.name)
  return there !== undefined && columnsOf(there) === columnsOf(table)
}

const columnsOf = ({ key, columns }: Table): string =>
  JSON.stringify([key.name, columns.map(({ name, kind, nullable }) => `${name} ${kind} ${nullable}`).toSorted()])

function refusal(missing: readonly Table[], target: readonly Table[], steps: string): StorageError {
  const others = missing.filter(({ name }) => tableIn(target, name) !== undefined)
  const names = (tables: readonly Table[]): string => tables.map(({ name }) => name).join(', ')
  const what =
    others.length > 0
      ? `In the target the tables ${names(others)} have other columns`
      : `The target has no tables ${names(missing)}, which are the application's own`
  return new StorageError('SCHEMA_MISMATCH', `${what}. Nothing was written. ${steps}`, {
    issues: missing.map(({ name }) => ({ path: name, message: 'is not there as it is in the source' })),
  })
}

function advice(here: readonly AppMigration[], there: readonly AppMigration[], next: string | undefined): string {
  const after = next === undefined ? '' : ` ${next}`
  const without = (all: readonly AppMigration[], others: readonly AppMigration[]): AppMigration[] =>
    all.filter(({ hash }) => !others.some((other) => other.hash === hash))
  const listed = (migrations: readonly AppMigration[]): string => migrations.map(shownMigration).join(', ')
  const newer = without(there, here)
  // The two dialects have different migrations, of which none is known to be the same.
  if (here.length > 0 && newer.length > 0 && without(here, there).length === 0)
    return `The target has migrations of the application that the source lacks: ${listed(newer)}. Use a target that the application made in its version of that time: an empty database, opened once with that version.${after}`
  const which = here.length > 0 ? ` The source has these: ${listed(here)}.` : ''
  return `First apply the application's migrations to the target: open it once with the application.${after}${which}`
}
