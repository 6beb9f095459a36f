/** What is transferred: three tables, their columns in order, and what each column's values are in a file. */
import { bundleProblems } from '../schema/bundle-rules.ts'
import * as codecs from '../schema/codecs.ts'
import * as rules from '../schema/rules.ts'

export interface Kind {
  /** A cell as it is stored, to what stands in the file. Throws UndecodableValue for what the library could not read. */
  readonly fromCell: (cell: unknown) => unknown
  /** What a value in a file must be: the rules at the door. */
  readonly rule: rules.Rule
  /** A value of a file, to what its column takes. */
  readonly toColumn?: (value: never) => unknown
}

const ID: Kind = { fromCell: codecs.decodeText, rule: rules.isId }
/** Longer than an id, being made of two of them: `rows.ts` says what it must be. */
const CACHE_KEY: Kind = { fromCell: codecs.decodeText, rule: rules.isStorableText }
const LIST: Kind = { fromCell: codecs.decodeStringList, rule: rules.isIdList }
const FLAG: Kind = { fromCell: codecs.decodeFlag, rule: rules.isFlag }
const INTEGER: Kind = { fromCell: exactInteger, rule: rules.isInteger(rules.MIN_INTEGER, rules.MAX_INTEGER) }
const PATHS: Kind = { fromCell: exactInteger, rule: rules.isK }
/** Not parsed: what is stored already must come through, though another program's text may be no YAML. */
const YAML: Kind = { fromCell: codecs.decodeText, rule: rules.isYamlText }
const TIME: Kind = {
  fromCell: (cell) => {
    codecs.decodeTime(cell)
    return cell
  },
  rule: (value) =>
    typeof value === 'number' && Math.abs(value) <= codecs.MAX_EPOCH_SECONDS
      ? undefined
      : 'must be a number of seconds since 1970, up to the year 9999',
  toColumn: (value: number) => new codecs.StoredTime(value),
}
/** JSON in a string: it is kept byte for byte. */
const BUNDLE: Kind = {
  fromCell: (cell) => {
    codecs.decodeBundle(cell)
    return cell
  },
  rule: isBundleText,
  toColumn: (value: string) => new codecs.JsonText(value),
}

/** SQLite holds 64 bits; past 53 of them a number would come out as another one. */
function exactInteger(cell: unknown): number {
  const integer = codecs.decodeInteger(cell)
  if (!Number.isSafeInteger(integer)) throw new codecs.UndecodableValue('is too large an integer')
  return integer
}

function isBundleText(value: unknown): ReturnType<rules.Rule> {
  const problem = rules.isYamlText(value)
  if (problem !== undefined) return problem
  let bundle: unknown
  try {
    bundle = JSON.parse(value as string)
  } catch {
    return 'must be valid JSON'
  }
  const issues = bundleProblems(bundle)
  return issues.length === 0 ? undefined : issues
}

export interface Column {
  readonly name: string
  /** What the schema and the repositories call it. */
  readonly property: string
  readonly kind: Kind
}

const column = (name: string, property: string, kind: Kind): Column => ({ name, property, kind })

/** The first column of each is its key. */
export const TABLES = {
  nodes: [
    column('node_id', 'nodeId', ID),
    column('interfaces', 'interfaces', LIST),
    column('protocols', 'protocols', LIST),
    column('started', 'started', FLAG),
    column('routes_discovered', 'routesDiscovered', INTEGER),
    column('created_at', 'createdAt', TIME),
    column('updated_at', 'updatedAt', TIME),
  ],
  policies: [
    column('policy_id', 'policyId', ID),
    column('yaml_content', 'yamlContent', YAML),
    column('rules_count', 'rulesCount', INTEGER),
    column('created_at', 'createdAt', TIME),
    column('updated_at', 'updatedAt', TIME),
  ],
  path_cache: [
    column('cache_key', 'cacheKey', CACHE_KEY),
    column('source', 'source', ID),
    column('destination', 'destination', ID),
    column('k', 'k', PATHS),
    column('bundle_json', 'bundle', BUNDLE),
    column('created_at', 'createdAt', TIME),
    column('expires_at', 'expiresAt', TIME),
  ],
} as const satisfies Record<string, readonly Column[]>

export type TableName = keyof typeof TABLES
export const TABLE_NAMES = Object.keys(TABLES) as TableName[]
export const isTableName = (value: unknown): value is TableName => TABLE_NAMES.includes(value as TableName)

export const columnsOf = (table: TableName): readonly Column[] => TABLES[table]
export const keyColumn = (table: TableName): string => TABLES[table][0].name
