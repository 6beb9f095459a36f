/**
 * The rules at the door: what a value must be before it reaches a database, the same for every dialect. What is checked
 * on every read is checked here by hand, so that a reader does not load the validators.
 */
import { type ValidationIssue, validationError } from '../errors.ts'
import type { PathKey } from './path-bundle.ts'

export const MAX_ID_CHARACTERS = 255
export const MAX_LIST_ITEMS = 1_000
export const MAX_K = 1_000
/** PostgreSQL's integer. */
export const MAX_INTEGER = 2_147_483_647
export const MIN_INTEGER = -2_147_483_648
/** Of a policy's or a bundle's text. */
export const MAX_TEXT_BYTES = 1_048_576
export const MAX_DEPTH = 100
export const MAX_PAGE = 10_000
export const DEFAULT_PAGE = 100
/** 100 years. */
export const MAX_TTL_SECONDS = 3_155_760_000
/** What setTimeout() can wait. */
export const MAX_TIMER_MS = 2_147_483_647

/** Says what is wrong with a value: `must be …`. `undefined` if nothing is. */
export type Rule = (value: unknown) => string | undefined

const ID_LENGTH = `must be 1–${MAX_ID_CHARACTERS} characters`

export const isId: Rule = (value) => {
  if (typeof value !== 'string') return 'must be a string'
  if (value.length === 0) return ID_LENGTH
  // A character may take two UTF-16 units.
  if (
    value.length > MAX_ID_CHARACTERS &&
    (value.length > 2 * MAX_ID_CHARACTERS || [...value].length > MAX_ID_CHARACTERS)
  ) {
    return ID_LENGTH
  }
  return isStorableText(value)
}

/** Text that every database keeps as it is: no NUL, no half of a surrogate pair. */
export const isStorableText: Rule = (value) => {
  if (typeof value !== 'string') return 'must be a string'
  if (value.includes('\0')) return 'must not contain NUL'
  if (!value.isWellFormed()) return 'must be well-formed Unicode'
  return undefined
}

export const isFlag: Rule = (value) => (typeof value === 'boolean' ? undefined : 'must be true or false')
export const isTime: Rule = (value) =>
  value instanceof Date && !Number.isNaN(value.getTime()) ? undefined : 'must be a valid Date'
export const isFunction: Rule = (value) => (typeof value === 'function' ? undefined : 'must be a function')
export const isSignal: Rule = (value) => (value instanceof AbortSignal ? undefined : 'must be an AbortSignal')

export const isInteger =
  (from: number, to: number): Rule =>
  (value) =>
    Number.isInteger(value) && (value as number) >= from && (value as number) <= to
      ? undefined
      : `must be an integer from ${from} to ${to}`

export const isOneOf =
  (...values: readonly string[]): Rule =>
  (value) =>
    values.includes(value as string) ? undefined : `must be one of ${values.join(', ')}`

export const isLimit = isInteger(1, MAX_PAGE)
export const isK = isInteger(1, MAX_K)
export const isTtl: Rule = (value) =>
  typeof value === 'number' && value > 0 && value <= MAX_TTL_SECONDS
    ? undefined
    : `must be a number of seconds above 0, up to ${MAX_TTL_SECONDS}`

/** What a property of an object must be; properties that are `undefined` are absent. */
export type Rules = Readonly<Record<string, Rule>>

/** Problems of a plain object whose properties are all optional. Unknown ones are refused. */
export function problems(rules: Rules, value: unknown): ValidationIssue[] {
  if (typeof value !== 'object' || value === null) return [{ path: '', message: 'must be an object' }]
  const issues: ValidationIssue[] = []
  for (const [name, given] of Object.entries(value)) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) issues.push({ path: shown(name), message: 'is not a known property' })
    else if (given !== undefined) {
      const message = rule(given)
      if (message !== undefined) issues.push({ path: name, message })
    }
  }
  return issues
}

/** Throws VALIDATION unless every property keeps its rule. */
export function checkOptions(what: string, rules: Rules, value: unknown): void {
  if (value === undefined) return
  const issues = problems(rules, value)
  if (issues.length > 0) throw validationError(what, issues)
}

/** Throws VALIDATION unless the value keeps the rule. */
export function checkValue(what: string, rule: Rule, value: unknown): void {
  const message = rule(value)
  if (message !== undefined) throw validationError(what, [{ path: what, message }])
}

/** Throws VALIDATION unless it is a list of at most 10,000 ids. */
export function checkIds(what: string, ids: readonly string[]): void {
  if (!Array.isArray(ids)) throw validationError(what, [{ path: what, message: 'must be a list of ids' }])
  if (ids.length > MAX_PAGE)
    throw validationError(what, [{ path: what, message: `must not be longer than ${MAX_PAGE}` }])
  const issues = ids.flatMap((id, index) => {
    const message = isId(id)
    return message === undefined ? [] : [{ path: `${what}[${index}]`, message }]
  })
  if (issues.length > 0) throw validationError(what, issues)
}

const KEY_RULES: Rules = { source: isId, destination: isId, k: isK }

/** Throws VALIDATION unless it is a key: exactly `source`, `destination` and `k`. */
export function checkKey(key: PathKey, path = ''): void {
  if (isSoundKey(key)) return
  const issues = problems(KEY_RULES, key)
  if (issues.length === 0) {
    for (const name of ['source', 'destination', 'k'] as const) {
      if (key[name] === undefined) issues.push({ path: name, message: 'is missing' })
    }
  }
  if (issues.length === 0) return
  const at = (issue: ValidationIssue): string => (issue.path === '' ? path : `${path}.${issue.path}`)
  throw validationError('The key', path === '' ? issues : issues.map((issue) => ({ ...issue, path: at(issue) })))
}

/** The same without a word on what is wrong: every cache lookup asks. */
function isSoundKey(key: PathKey): boolean {
  if (typeof key !== 'object' || key === null) return false
  if (isId(key.source) !== undefined || isId(key.destination) !== undefined || isK(key.k) !== undefined) return false
  let properties = 0
  for (const _ in key) properties++
  return properties === 3
}

const SHOWN_CHARACTERS = 64
/** A property's name, of which nobody knows how long it is. */
export const shown = (name: string): string =>
  name.length <= SHOWN_CHARACTERS ? name : `${name.slice(0, SHOWN_CHARACTERS)}…`
