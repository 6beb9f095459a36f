/** The kinds of columns: each defines its values in a database, in a file, in the content hash, and for a caller. */
import * as codecs from './codecs.ts'
import * as rules from './rules.ts'

export interface Kind {
  /** Converts a stored cell into its file form. Throws UndecodableValue if the library cannot read the cell. */
  readonly read: (cell: unknown) => unknown
  /** `read` for a copy between databases, if a copy has fewer requirements. */
  readonly carry?: (cell: unknown) => unknown
  /** The rule for a caller's value, unless the column has its own rule. */
  readonly rule: rules.Rule
  /** Derives the rule for a value in a file from the column's rule. */
  readonly inFile?: (rule: rules.Rule) => rules.Rule
  /** Converts a file's value into the column's type. */
  readonly toColumn?: (value: never) => unknown
  /** The content hash's treatment of a cell. */
  readonly hash: 'text' | 'list' | 'time' | 'integer'
  readonly postgres: 'text' | 'jsonb' | 'boolean' | 'integer' | 'double precision'
}

export const KINDS = {
  text: { read: codecs.decodeText, rule: rules.isStorableText, hash: 'text', postgres: 'text' },
  integer: {
    read: exactInteger,
    rule: rules.isInteger(rules.MIN_INTEGER, rules.MAX_INTEGER),
    hash: 'integer',
    postgres: 'integer',
  },
  real: {
    read: codecs.decodeReal,
    rule: rules.isFiniteNumber,
    hash: 'time',
    postgres: 'double precision',
  },
  boolean: { read: codecs.decodeFlag, rule: rules.isFlag, hash: 'integer', postgres: 'boolean' },
  /** An exact time: a `Date` would hold the nearest millisecond. */
  time: {
    read: (cell) => {
      codecs.decodeTime(cell)
      return cell
    },
    rule: rules.isTime,
    inFile: () => isSeconds,
    toColumn: (value: number) => new codecs.StoredTime(value),
    hash: 'time',
    postgres: 'double precision',
  },
  /** A list of texts. */
  list: { read: codecs.decodeStringList, rule: rules.isIdList, hash: 'list', postgres: 'jsonb' },
  /** An object as JSON text, kept byte for byte. */
  json: {
    read: (cell) => {
      codecs.decodeBundle(cell)
      return cell
    },
    carry: codecs.decodeText,
    rule: (value) => (typeof value === 'object' && value !== null ? undefined : 'must be an object'),
    inFile: isJsonOf,
    toColumn: (value: string) => new codecs.JsonText(value),
    hash: 'text',
    postgres: 'text',
  },
} as const satisfies Readonly<Record<string, Kind>>

export type KindName = keyof typeof KINDS
export const kindOf = ({ kind }: { readonly kind: KindName }): Kind => KINDS[kind]

/** SQLite's integers have 64 bits; a JavaScript number is exact up to 53. */
function exactInteger(cell: unknown): number {
  const integer = codecs.decodeInteger(cell)
  if (!Number.isSafeInteger(integer)) throw new codecs.UndecodableValue('is too large an integer')
  return integer
}

const isSeconds: rules.Rule = (value) =>
  typeof value === 'number' && Math.abs(value) <= codecs.MAX_EPOCH_SECONDS
    ? undefined
    : 'must be a number of seconds since 1970, up to the year 9999'

/** A text that is JSON, whose value keeps the rule. */
function isJsonOf(rule: rules.Rule): rules.Rule {
  return (value) => {
    const problem = rules.isLongText(value)
    if (problem !== undefined) return problem
    let parsed: unknown
    try {
      parsed = JSON.parse(value as string)
    } catch {
      return 'must be valid JSON'
    }
    return rule(parsed)
  }
}
