/**
 * Translates a snapshot of drizzle-kit 0.31 into one of drizzle-kit 1.0, which has a list of entities where 0.31 has a tree.
 *
 * `npm run test:package` asks drizzle-kit 1.0 whether the schema is what the snapshot says.
 */

interface Column {
  readonly name: string
  readonly type: string
  readonly primaryKey: boolean
  readonly notNull: boolean
  readonly autoincrement?: boolean
  readonly default?: string | number | boolean
  readonly identity?: { readonly schema: string; readonly cache: string }
}

interface Index {
  readonly name: string
  readonly columns: readonly (string | { readonly expression: string; readonly asc: boolean; readonly nulls: string })[]
  readonly isUnique: boolean
  readonly where?: string
  readonly method?: string
  readonly concurrently?: boolean
}

interface Table {
  readonly name: string
  readonly columns: Readonly<Record<string, Column>>
  readonly indexes: Readonly<Record<string, Index>>
  readonly checkConstraints: Readonly<Record<string, { readonly name: string; readonly value: string }>>
}

export interface Snapshot {
  readonly id: string
  readonly dialect: 'sqlite' | 'postgresql'
  readonly tables: Readonly<Record<string, Table>>
}

type Entity = Readonly<Record<string, unknown>>

/** The first snapshot of its folder, whatever came before it. */
export function translated(snapshot: Snapshot): Entity {
  refuseUnknown(snapshot)
  const tables = Object.values(snapshot.tables)
  const { id } = snapshot
  const first = { id, prevIds: ['00000000-0000-0000-0000-000000000000'] }
  return snapshot.dialect === 'sqlite'
    ? { dialect: 'sqlite', version: '7', ...first, ddl: tables.flatMap(sqliteEntities), renames: [] }
    : {
        type: 'base',
        dialect: 'postgres',
        version: '9',
        ...first,
        footprints: [],
        ddl: tables.flatMap(postgresEntities),
      }
}

/** Parts that no table of ours has yet. */
const UNKNOWN = [
  'foreignKeys',
  'compositePrimaryKeys',
  'uniqueConstraints',
  'policies',
  'views',
  'enums',
  'sequences',
  'roles',
  'schemas',
]

function refuseUnknown(snapshot: Snapshot): void {
  for (const part of [snapshot, ...Object.values(snapshot.tables)])
    for (const [name, value] of Object.entries(part))
      if (UNKNOWN.includes(name) && Object.keys(value).length > 0)
        throw new Error(`scripts/build/snapshots.ts does not know how drizzle-kit 1.0 writes ${name}.`)
}

const text = (value: unknown): string | null => (value === undefined ? null : String(value))

/** drizzle-kit 1.0 names the columns without their table. */
const checksOf = (table: string, checks: Table['checkConstraints']): { name: string; value: string }[] =>
  Object.values(checks).map(({ name, value }) => ({ name, value: value.replaceAll(`"${table}".`, '') }))

function sqliteEntities({ name: table, columns, indexes, checkConstraints }: Table): Entity[] {
  const keys = Object.values(columns).filter(({ primaryKey }) => primaryKey)
  return [
    { entityType: 'tables', name: table },
    ...Object.values(columns).map((column) => ({
      entityType: 'columns',
      table,
      name: column.name,
      type: column.type,
      notNull: column.notNull && !column.primaryKey,
      autoincrement: column.autoincrement === true,
      default: text(column.default),
      generated: null,
    })),
    ...Object.values(indexes).map(({ name, columns, isUnique, where }) => ({
      entityType: 'indexes',
      table,
      name,
      columns: columns.map((value) => ({ value, isExpression: false })),
      isUnique,
      where: text(where),
      origin: 'manual',
    })),
    ...keys.map(({ name }) => ({
      entityType: 'pks',
      table,
      name: `${table}_pk`,
      columns: [name],
      nameExplicit: false,
    })),
    ...checksOf(table, checkConstraints).map((check) => ({ entityType: 'checks', table, ...check })),
  ]
}

function postgresEntities({ name: table, columns, indexes, checkConstraints }: Table): Entity[] {
  const schema = 'public'
  const keys = Object.values(columns).filter(({ primaryKey }) => primaryKey)
  return [
    { entityType: 'tables', schema, name: table, isRlsEnabled: false },
    ...Object.values(columns).map((column) => ({
      entityType: 'columns',
      schema,
      table,
      name: column.name,
      type: column.type,
      typeSchema: null,
      notNull: column.notNull,
      dimensions: 0,
      default: text(column.default),
      generated: null,
      identity: identityOf(column),
    })),
    ...Object.values(indexes).map(({ name, columns, isUnique, where, method, concurrently }) => ({
      entityType: 'indexes',
      schema,
      table,
      name,
      nameExplicit: true,
      columns: columns.map((column) =>
        typeof column === 'string'
          ? column
          : {
              value: column.expression,
              isExpression: false,
              asc: column.asc,
              nullsFirst: column.nulls === 'first',
              opclass: null,
            },
      ),
      isUnique,
      where: text(where),
      with: '',
      method,
      concurrently,
    })),
    ...keys.map(({ name }) => ({
      entityType: 'pks',
      schema,
      table,
      name: `${table}_pkey`,
      columns: [name],
      nameExplicit: false,
    })),
    ...checksOf(table, checkConstraints).map((check) => ({ entityType: 'checks', schema, table, ...check })),
  ]
}

function identityOf({ identity }: Column): Entity | null {
  if (identity === undefined) return null
  const { schema, cache, ...rest } = identity
  return { ...rest, cache: Number(cache) }
}
