/** What the values of a column are: in a database, in a file, in the content hash, and for a caller. */
import * as codecs from './codecs.ts'
import * as rules from './rules.ts'

export interface Kind {
  /** A cell as it is stored, to what stands in a file. Throws UndecodableValue for what the library could not read. */
  readonly read: (cell: unknown) => unknown
  /** For a cell that goes from one database into another, where that asks for less. */
  readonly carry?: (cell: unknown) => unknown
  /** What a caller's value must be, unless its column has a rule of its own. */
  readonly rule: rules.Rule
  /** The rule for a value in a file, made from the column's. */
  readonly inFile?: (rule: rules.Rule) => rules.Rule
  /** A value of a file, to what its column takes. */
  readonly toColumn?: (value: never) => unknown
  /** How the content hash takes a cell. */
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
  boolean: { read: codecs.decodeFlag, rule: rules.isFlag, hash: 'integer', postgres: 'boolean' },
  /** Kept to the last bit: a `Date` would hold the nearest millisecond. */
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
  /** Of texts. */
  list: { read: codecs.decodeStringList, rule: rules.isIdList, hash: 'list', postgres: 'jsonb' },
  /** An object as text, which is kept byte for byte. */
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

/** SQLite holds 64 bits; past 53 of them a number would come out as another one. */
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
