/** An application's own tables in a database: what an open has to make there, and why it is refused. */
import { StorageError } from '../errors.ts'
import { rowOfTable, TABLE_ROW, tableOfRow } from '../schema/described.ts'
import { type Column, type Invalidates, OUR_TABLES, type Table } from '../schema/tables.ts'
import type { Migration } from './migrations.ts'

/** The application's tables and migrations, from the options of `openStorage()`. */
export interface OwnSetup {
  readonly tables: readonly Table[]
  /** The folder of its migrations. */
  readonly migrations: string | undefined
}

/** A column of a table in the database. */
export interface FoundColumn {
  readonly name: string
  readonly isNullable: boolean
  readonly hasDefault: boolean
  readonly isKey: boolean
}

/** A table as it exists in the database. */
export interface FoundTable {
  readonly columns: readonly FoundColumn[]
  readonly triggers: ReadonlySet<string>
  /** Its row in `meshstore_state`. */
  readonly description: string | undefined
}

/** A table whose triggers and row in `meshstore_state` must be made, with the reason. */
export interface Work {
  /** As the database is to have it. */
  readonly table: Table
  readonly reason: string
  /** Triggers that were there are gone: changes may have been followed by nobody. */
  readonly hasLost: boolean
}

/** Throws SCHEMA_MISMATCH if the table or one of its columns is missing, or is another one. */
export function workFor(
  described: Table,
  found: FoundTable,
  triggersOf: (table: Table) => readonly string[],
): Work | undefined {
  assertColumns(described, found.columns)
  const known = knownAs(described, found)
  const table = known === undefined ? described : widened(described, known, found.columns)
  const work = (reason: string, hasLost = false): Work => ({ table, reason: `${table.name} ${reason}`, hasLost })
  if (found.description === undefined) return work('is not described in meshstore_state')
  if (known === undefined || !isSame(table, known)) return work('has another description in meshstore_state')
  const missing = triggersOf(table).filter((name) => !found.triggers.has(name))
  return missing.length === 0 ? undefined : work(`has lost ${missing.join(', ')}`, true)
}

/** The table as `meshstore_state` describes it, if that is a table with this key. */
function knownAs({ name, key }: Table, { description }: FoundTable): Table | undefined {
  const known = description === undefined ? undefined : tableIn(`${TABLE_ROW}${name}`, description)
  return known?.key.name === key.name ? known : undefined
}

/** The table that a row of `meshstore_state` describes; `undefined` for a bad row. */
export function tableIn(row: string, value: unknown): Table | undefined {
  try {
    return tableOfRow(row, value)
  } catch (error) {
    if (error instanceof StorageError) return undefined
    throw error
  }
}

/** A table that `meshstore_state` describes and that is not there. */
export interface Gone {
  readonly row: string
  readonly table: Table
  /** Its triggers are there, on the table that it was renamed to. */
  readonly isRenamed: boolean
}

/**
 * The table with what another release of the application has described beside it. During a rolling deploy both open the
 * database: the older one must take neither a column from backups and replicas nor a trigger from the newer one.
 * A migration of `meshstore migrate generate` describes the table anew.
 */
function widened(table: Table, known: Table, found: readonly FoundColumn[]): Table {
  const others = known.columns.filter((column) => isIn(column, found) && !isIn(column, table.columns))
  const both = table.columns.map((column): Column => {
    const nullable = known.columns.find(({ name }) => name === column.name)?.nullable ?? column.nullable
    if (nullable === column.nullable) return column
    return { ...column, nullable: found.find(({ name }) => name === column.name)?.isNullable ?? nullable }
  })
  const columns = [...both, ...others]
  return { ...table, columns, invalidates: eitherOf(table.invalidates, known.invalidates, columns) }
}

const isIn = ({ name }: Column, columns: readonly { readonly name: string }[]): boolean =>
  columns.some((each) => each.name === name)

/** Invalidates where one of them does. */
function eitherOf(
  one: Invalidates | undefined,
  other: Invalidates | undefined,
  all: readonly Column[],
): Invalidates | undefined {
  const given = [one, other].filter((each) => each !== undefined)
  const named = (columns: readonly Column[]): Column[] => all.filter((column) => isIn(column, columns))
  const columns = named(given.flatMap((each) => each.columns))
  const through = named(given.flatMap((each) => each.through ?? []))
  if (given.some(({ paths }) => paths === 'all')) return { columns, paths: 'all' }
  return through.length === 0 ? undefined : { columns, paths: 'through', through }
}

/** In any order of columns. */
const isSame = (one: Table, other: Table): boolean => rowOfTable(inOrder(one))[1] === rowOfTable(inOrder(other))[1]

function inOrder(table: Table): Table {
  const { columns, invalidates } = table
  const sorted = (some: readonly Column[]): Column[] => [...some].sort((a, b) => (a.name < b.name ? -1 : 1))
  return {
    ...table,
    columns: sorted(columns),
    invalidates: invalidates && {
      ...invalidates,
      columns: sorted(invalidates.columns),
      through: invalidates.through && sorted(invalidates.through),
    },
  }
}

const GENERATE = 'Run drizzle-kit generate, and open the database with the folder in the option migrations.'

function assertColumns(table: Table, found: readonly FoundColumn[]): void {
  const wrong = (what: string): StorageError =>
    new StorageError('SCHEMA_MISMATCH', `${what} Nothing was changed. ${GENERATE}`)
  if (found.length === 0) throw wrong(`The database has no table ${table.name}.`)
  for (const { name, nullable } of table.columns) {
    const there = found.find((column) => column.name === name)
    if (there === undefined) throw wrong(`The table ${table.name} has no column ${name} in the database.`)
    if (there.isKey !== (name === table.key.name))
      throw wrong(`The primary key of ${table.name} must be ${table.key.name}, alone.`)
    if (there.isNullable && !nullable)
      throw wrong(`${table.name}.${name} may be NULL in the database, and not in table().`)
  }
  const more = found.find(
    ({ name, isNullable, hasDefault }) =>
      !isNullable && !hasDefault && !table.columns.some((column) => column.name === name),
  )
  if (more !== undefined)
    throw wrong(`The table ${table.name} has a column ${more.name} that table() does not describe.`)
}

export const pendingOwn = (pending: readonly Migration[]): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    `Migrations of the application are pending: ${pending.map(({ tag }) => tag).join(', ')}. Nothing was changed. Open the database with migrate: 'apply' and a role that may change the schema.`,
  )

export const unsettled = (works: readonly Work[]): StorageError =>
  new StorageError(
    'SCHEMA_MISMATCH',
    `The database is not ready for the application's tables: ${works.map(({ reason }) => reason).join('; ')}. Nothing was changed. Open it once with migrate: 'apply' and a role that may change the schema.`,
  )

export function failedOwn({ file }: Migration, error: unknown): unknown {
  if (!(error instanceof StorageError)) return error
  const message = `${file} failed, and nothing of it happened: ${error.message}`
  return new StorageError(error.code, message, { cause: error.cause ?? error })
}

/** Throws SCHEMA_MISMATCH if a migration of the application's changed a table of the library's. */
export function assertOursUntouched(
  { file }: Migration,
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): void {
  for (const table of OUR_TABLES) {
    if (before.get(table) === after.get(table)) continue
    throw new StorageError(
      'SCHEMA_MISMATCH',
      `${file} changes ${table}, which is a table of meshstore. Nothing was changed. Take that out of the migration, and do not export the tables of meshstore from the schema that drizzle-kit reads.`,
    )
  }
}

export { rowOfTable, TABLE_ROW }
