/**
 * The tables with data, each described once. Derived from the descriptions: backups, exports, copies, moves, checks, change
 * log, fence, validation and zod schemas. This file imports only the types of the dialects' tables.
 */
import type { Column as DrizzleColumn, Table as DrizzleTable } from 'drizzle-orm'
import { bundleProblems } from './bundle-rules.ts'
import { type KindName, kindOf } from './kinds.ts'
import type * as postgres from './postgres.ts'
import * as rules from './rules.ts'
import type * as sqlite from './sqlite.ts'

export interface Column {
  readonly name: string
  /** The column's name in the twins and the repositories. */
  readonly property: string
  readonly kind: KindName
  readonly nullable: boolean
  /** The source of the value if the caller gives none. An update does not set columns filled in by the store. */
  readonly filledIn: 'by default' | 'by store' | undefined
  /** Rules for a caller's value and for a value in a file. */
  readonly rule: rules.Rule
  readonly fileRule: rules.Rule
  /** The table's CHECK, if it requires more than the kind: another program can switch off CHECKs. */
  readonly check: rules.SimpleRule | undefined
}

export interface Table<Name extends string = string, Twin extends string = string> {
  readonly name: Name
  /** Its name in `sqlite.ts` and `postgres.ts`, and in reports. */
  readonly twin: Twin
  readonly key: Column
  /** In the order of export, copy and content hash. */
  readonly columns: readonly Column[]
  /** Columns that an update may set. */
  readonly patch: readonly Column[]
  readonly invalidates: Invalidates | undefined
}

/** Which changes of a row invalidate cached paths. */
export interface Invalidates {
  /** Changes of these columns invalidate, and deletes. With `paths: 'all'`, inserts do too. */
  readonly columns: readonly Column[]
  /** All paths, or the paths through the nodes in the columns `through`. */
  readonly paths: 'all' | 'through'
  /** `undefined`: the key is the node. */
  readonly through?: readonly Column[] | undefined
}

/** A table's description, by property. */
interface Description<Name extends string = string> {
  readonly name: Name
  readonly key: string
  readonly columns: Readonly<Record<string, Described>>
  readonly invalidates?: {
    readonly columns: readonly string[]
    readonly paths: Invalidates['paths']
    readonly through?: readonly string[]
  }
}

interface Described {
  readonly name: string
  readonly kind: KindName
  readonly nullable?: boolean
  readonly filledIn?: Column['filledIn']
  readonly rule?: rules.Rule
  readonly check?: rules.SimpleRule
}

export function tableOf<Name extends string, T extends string>(
  twin: T,
  description: Description<Name>,
): Table<Name, T> {
  const columns = Object.entries(description.columns).map(([property, described]): Column => {
    const kind = kindOf(described)
    const { nullable = false, filledIn, rule = kind.rule, check } = described
    const allowed = (each: rules.Rule): rules.Rule =>
      nullable ? (value) => (value === null ? undefined : each(value)) : each
    const fileRule = allowed(kind.inFile?.(rule) ?? rule)
    return { ...described, property, nullable, filledIn, rule: allowed(rule), fileRule, check }
  })
  const column = (property: string): Column => {
    const found = columns.find((each) => each.property === property)
    if (found === undefined) throw new TypeError(`${description.name} has no column ${property}.`)
    return found
  }
  const { name, key, invalidates } = description
  return {
    name,
    twin,
    key: column(key),
    columns,
    patch: columns.filter(({ property, filledIn }) => property !== key && filledIn !== 'by store'),
    invalidates: invalidates && {
      columns: invalidates.columns.map(column),
      paths: invalidates.paths,
      through: invalidates.through?.map(column),
    },
  }
}

/** The compiler compares the descriptions with the twins: names, and each column's kind with its type. */
type KindFor<Data> = Data extends string
  ? 'text'
  : Data extends number
    ? 'integer'
    : Data extends boolean
      ? 'boolean'
      : Data extends Date
        ? 'time'
        : Data extends readonly string[]
          ? 'list'
          : 'json'
type DescribedBy<C> = C extends DrizzleColumn
  ? Described & {
      readonly name: C['_']['name']
      readonly kind: KindFor<C['_']['data']>
    } & (C['_']['notNull'] extends true ? { readonly nullable?: false } : { readonly nullable: true })
  : never
type DescriptionBy<T extends DrizzleTable> = {
  readonly name: T['_']['name']
  readonly key: keyof T['_']['columns'] & string
  readonly columns: { readonly [P in keyof T['_']['columns']]: DescribedBy<T['_']['columns'][P]> }
  readonly invalidates?: {
    readonly columns: readonly (keyof T['_']['columns'] & string)[]
    readonly paths: Invalidates['paths']
  }
}
type Twin = keyof typeof sqlite & keyof typeof postgres

const twins = <T extends Twin>(
  twin: T,
  description: DescriptionBy<(typeof sqlite)[T]> & DescriptionBy<(typeof postgres)[T]>,
): Table<(typeof sqlite)[T]['_']['name'], T> => tableOf(twin, description)

export const TABLES = {
  nodes: twins('nodes', {
    name: 'nodes',
    key: 'nodeId',
    columns: {
      nodeId: { name: 'node_id', kind: 'text', rule: rules.isId },
      interfaces: { name: 'interfaces', kind: 'list' },
      protocols: { name: 'protocols', kind: 'list' },
      started: { name: 'started', kind: 'boolean', filledIn: 'by default' },
      routesDiscovered: { name: 'routes_discovered', kind: 'integer', filledIn: 'by default' },
      createdAt: { name: 'created_at', kind: 'time', filledIn: 'by store' },
      updatedAt: { name: 'updated_at', kind: 'time', filledIn: 'by store' },
    },
    invalidates: { columns: ['nodeId', 'interfaces', 'protocols', 'started'], paths: 'through' },
  }),
  policies: twins('policies', {
    name: 'policies',
    key: 'policyId',
    columns: {
      policyId: { name: 'policy_id', kind: 'text', rule: rules.isId },
      yamlContent: { name: 'yaml_content', kind: 'text', rule: rules.isLongText },
      rulesCount: { name: 'rules_count', kind: 'integer', filledIn: 'by store' },
      createdAt: { name: 'created_at', kind: 'time', filledIn: 'by store' },
      updatedAt: { name: 'updated_at', kind: 'time', filledIn: 'by store' },
    },
    invalidates: { columns: ['policyId', 'yamlContent'], paths: 'all' },
  }),
  pathCache: twins('pathCache', {
    name: 'path_cache',
    key: 'cacheKey',
    columns: {
      // No isId: the key holds two ids, and so may be longer than an id.
      cacheKey: { name: 'cache_key', kind: 'text' },
      source: { name: 'source', kind: 'text', rule: rules.isId },
      destination: { name: 'destination', kind: 'text', rule: rules.isId },
      k: { name: 'k', kind: 'integer', rule: rules.isK, check: rules.isPositive },
      bundle: { name: 'bundle_json', kind: 'json', rule: (value) => some(bundleProblems(value)) },
      createdAt: { name: 'created_at', kind: 'time', filledIn: 'by store' },
      expiresAt: { name: 'expires_at', kind: 'time', filledIn: 'by store' },
    },
  }),
}

const some = <T>(issues: readonly T[]): readonly T[] | undefined => (issues.length > 0 ? issues : undefined)

/** A table's name in reports. */
export type TableKey = keyof typeof TABLES
export type TableName = (typeof TABLES)[TableKey]['name']
export type OurTable = Table<TableName, TableKey>
/** In the order of export and copy. */
export const ALL_TABLES: readonly OurTable[] = Object.values(TABLES)
export const TABLE_NAMES = ALL_TABLES.map(({ name }) => name)

export const ofEachTable = <T>(make: (table: OurTable) => T): Record<TableKey, T> =>
  Object.fromEntries(ALL_TABLES.map((table) => [table.twin, make(table)])) as Record<TableKey, T>

export const tableNamed = (name: unknown): Table<TableName> | undefined =>
  ALL_TABLES.find((table) => table.name === name)

/** Bookkeeping tables: another database gets its own, and no copy. */
export const BOOKKEEPING = [
  'meshstore_state',
  'path_cache_marks',
  'path_cache_stamps',
  'meshstore_changes',
  'meshstore_consumers',
  'meshstore_outcomes',
] as const satisfies readonly (typeof sqlite)[Twin]['_']['name'][]

/** All tables that the migrations make. */
export const OUR_TABLES: readonly string[] = [...TABLE_NAMES, ...BOOKKEEPING]
