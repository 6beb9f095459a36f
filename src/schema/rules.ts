/**
 * Validation rules for values before they reach a database, the same for each dialect. Handwritten, so that a reader does
 * not load zod.
 */
import { isDate } from 'node:util/types'
import { type Access, type ValidationIssue, validationError } from '../errors.ts'
import { MAX_EPOCH_SECONDS } from './codecs.ts'
import type { PathKey } from './path-bundle.ts'

export const MAX_ID_CHARACTERS = 255
export const MAX_LIST_ITEMS = 1_000
const MAX_K = 1_000
/** PostgreSQL's integer. */
export const MAX_INTEGER = 2_147_483_647
export const MIN_INTEGER = -2_147_483_648
/** Most bytes of a policy's or a bundle's text. */
export const MAX_TEXT_BYTES = 1_048_576
export const MAX_DEPTH = 100
export const MAX_PAGE = 10_000
export const DEFAULT_PAGE = 100
/** 100 years. */
export const MAX_TTL_SECONDS = 3_155_760_000
/** The longest delay of setTimeout(). */
export const MAX_TIMER_MS = 2_147_483_647

/** Returns a value's problem, `must be …`, or the problems of its parts, `[3]: must be …`; `undefined` if it is valid. */
export type Rule = (value: unknown) => string | readonly ValidationIssue[] | undefined
/** A rule for a value without parts. */
export type SimpleRule = (value: unknown) => string | undefined

const ID_LENGTH = `must be 1–${MAX_ID_CHARACTERS} characters`

export const isId: SimpleRule = (value) => {
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

/** Text that each database keeps unchanged: no NUL, no lone surrogate. */
export const isStorableText: SimpleRule = (value) => {
  if (typeof value !== 'string') return 'must be a string'
  if (value.includes('\0')) return 'must not contain NUL'
  if (!value.isWellFormed()) return 'must be well-formed Unicode'
  return undefined
}

export const isFlag: SimpleRule = (value) => (typeof value === 'boolean' ? undefined : 'must be true or false')
export const isTime: SimpleRule = (value) => {
  // isDate(): `instanceof` accepts objects that only inherit from Date, and refuses dates of another realm.
  if (!isDate(value)) return 'must be a valid Date'
  return Math.abs(value.getTime()) <= MAX_EPOCH_SECONDS * 1000 ? undefined : 'must be a valid Date, up to the year 9999'
}
export const isFunction: SimpleRule = (value) => (typeof value === 'function' ? undefined : 'must be a function')
export const isSignal: SimpleRule = (value) => (value instanceof AbortSignal ? undefined : 'must be an AbortSignal')

export const isInteger =
  (from: number, to: number): SimpleRule =>
  (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to
      ? undefined
      : `must be an integer from ${from} to ${to}`

export const isNumber =
  (from: number, to: number): SimpleRule =>
  (value) =>
    typeof value === 'number' && value >= from && value <= to ? undefined : `must be a number from ${from} to ${to}`

export const isFiniteNumber: SimpleRule = (value) => (Number.isFinite(value) ? undefined : 'must be a finite number')

export const isOneOf =
  (...values: readonly string[]): SimpleRule =>
  (value) =>
    typeof value === 'string' && values.includes(value) ? undefined : `must be one of ${values.join(', ')}`

export const isLimit = isInteger(1, MAX_PAGE)
export const isK = isInteger(1, MAX_K)
export const isPositive: SimpleRule = (value) =>
  typeof value === 'number' && value < 1 ? 'must be at least 1' : undefined
export const isTtl: SimpleRule = (value) =>
  typeof value === 'number' && value > 0 && value <= MAX_TTL_SECONDS
    ? undefined
    : `must be a number of seconds above 0, up to ${MAX_TTL_SECONDS}`

export const isIdList: Rule = (value) => {
  if (!Array.isArray(value)) return 'must be a list of strings'
  if (value.length > MAX_LIST_ITEMS) return `must not have more than ${MAX_LIST_ITEMS} items`
  const issues = issuesOfItems(value)
  return issues.length === 0 ? undefined : issues
}

function issuesOfItems(ids: readonly unknown[]): ValidationIssue[] {
  const issues: ValidationIssue[] = []
  // By index, so that a hole counts as an undefined item.
  for (let index = 0; index < ids.length; index++) {
    const message = isId(ids[index])
    if (message !== undefined) issues.push({ path: `[${index}]`, message })
  }
  return issues
}

/** A policy's or a bundle's text. Counting a policy's rules checks that it is YAML. */
export const isLongText: SimpleRule = (value) =>
  typeof value === 'string' && Buffer.byteLength(value) > MAX_TEXT_BYTES
    ? `must not be larger than ${MAX_TEXT_BYTES} bytes`
    : isStorableText(value)

/** Rules by property. A property that is `undefined` is absent. */
export type Rules = Readonly<Record<string, Rule>>

const UNREADABLE: ValidationIssue = { path: '', message: 'cannot be read' }

/** A snapshot of an object's properties, or the reason why there is none. */
export type Snapshot = readonly (readonly [name: string, value: unknown])[] | ValidationIssue

/**
 * Reads each property of the object once: a getter may throw, or return another value next time. Copies lists and dates:
 * later changes by the caller do not affect them.
 */
export function snapshotOf(value: unknown): Snapshot {
  try {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return { path: '', message: 'must be an object' }
    }
    return Object.entries(value).map(([name, given]) => [name, copyOf(given)] as const)
  } catch {
    return UNREADABLE
  }
}

function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return Array.from(value)
  return isDate(value) ? new Date(value.getTime()) : value
}

const isReadable = (snapshot: Snapshot): snapshot is Exclude<Snapshot, ValidationIssue> => Array.isArray(snapshot)

/** Problems of an object with only optional properties. Unknown properties are refused. */
export function problems(rules: Rules, value: unknown): ValidationIssue[] {
  const snapshot = snapshotOf(value)
  return isReadable(snapshot) ? problemsOf(rules, snapshot) : [snapshot]
}

function problemsOf(rules: Rules, properties: readonly (readonly [string, unknown])[]): ValidationIssue[] {
  const issues: ValidationIssue[] = []
  for (const [name, given] of properties) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) issues.push({ path: shown(name), message: 'is not a known property' })
    else if (given !== undefined) {
      const problem = rule(given)
      if (typeof problem === 'string') issues.push({ path: name, message: problem })
      else if (problem !== undefined) issues.push(...problem.map((issue) => within(name, issue)))
    }
  }
  return issues
}

/** Prefixes the path of a part's issue. */
export function within(path: string, issue: ValidationIssue): ValidationIssue {
  if (path === '') return issue
  const separator = issue.path === '' || issue.path.startsWith('[') ? '' : '.'
  return { path: `${path}${separator}${issue.path}`, message: issue.message }
}

/**
 * Fast path: a copy of a valid object, or `undefined`. `checkedSnapshot` then finds the issues. Nearly all objects are valid,
 * and this function takes half the time.
 */
export function soundCopy(
  rules: Rules,
  value: unknown,
  required: readonly string[],
): Record<string, unknown> | undefined {
  try {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const copy: Record<string, unknown> = {}
    for (const name of Object.keys(value)) {
      const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
      if (rule === undefined) return undefined
      const given = copyOf(value[name as keyof typeof value])
      if (given === undefined) continue
      if (rule(given) !== undefined) return undefined
      copy[name] = given
    }
    for (const name of required) if (copy[name] === undefined) return undefined
    return copy
  } catch {
    return undefined
  }
}

/** A validated copy of the object. Throws VALIDATION; `what` begins the message, `path` each issue's path. */
export function checkedSnapshot(
  what: string,
  rules: Rules,
  snapshot: Snapshot,
  options: { required: readonly string[]; path?: string; access?: Access | undefined },
): Record<string, unknown> {
  const { path = '', required, access } = options
  if (!isReadable(snapshot)) throw validationError(what, [within(path, snapshot)], access)
  const issues = problemsOf(rules, snapshot)
  const copy: Record<string, unknown> = {}
  // Copies nothing of a refused object: a property may be called `__proto__`.
  if (issues.length === 0) for (const [name, given] of snapshot) if (given !== undefined) copy[name] = given
  for (const name of required) {
    const isGiven = snapshot.some(([given, value]) => given === name && value !== undefined)
    if (!isGiven) issues.push({ path: name, message: 'is missing' })
  }
  if (issues.length === 0) return copy
  throw validationError(what, path === '' ? issues : issues.map((issue) => within(path, issue)), access)
}

/** Throws VALIDATION unless every property keeps its rule. */
export function checkOptions(what: string, rules: Rules, value: unknown, access?: Access): void {
  if (value === undefined) return
  const issues = problems(rules, value)
  if (issues.length > 0) throw validationError(what, issues, access)
}

/** Throws VALIDATION unless the value keeps the rule. */
export function checkValue(what: string, rule: SimpleRule, value: unknown, access?: Access): void {
  const message = rule(value)
  if (message !== undefined) throw validationError(what, [{ path: what, message }], access)
}

/** A copy of a list of at most 10,000 ids that a call reads. Throws VALIDATION. */
export function checkedIds(what: string, ids: readonly string[]): string[] {
  if (!Array.isArray(ids)) throw validationError(what, [{ path: what, message: 'must be a list of ids' }], 'read')
  const copy: string[] = Array.from(ids)
  if (copy.length > MAX_PAGE) {
    throw validationError(what, [{ path: what, message: `must not be longer than ${MAX_PAGE}` }], 'read')
  }
  const issues = issuesOfItems(copy).map((issue) => within(what, issue))
  if (issues.length > 0) throw validationError(what, issues, 'read')
  return copy
}

const KEY_RULES: Rules = { source: isId, destination: isId, k: isK }

/** A copy of a key: exactly `source`, `destination` and `k`. Throws VALIDATION. */
export function checkedKey(key: PathKey, { path = '', access }: { path?: string; access?: Access } = {}): PathKey {
  const sound = soundKey(key)
  if (sound !== undefined) return sound
  const required = ['source', 'destination', 'k']
  // The rules give each property the type that it has in a key.
  return checkedSnapshot('The key', KEY_RULES, snapshotOf(key), { required, path, access }) as unknown as PathKey
}

/** Fast path for cache lookups: a copy of a valid key, or `undefined`. */
function soundKey(key: PathKey): PathKey | undefined {
  try {
    // Reads each property once: a getter may return another value next time.
    const { source, destination, k } = key
    if (isId(source) !== undefined || isId(destination) !== undefined || isK(k) !== undefined) return undefined
    let properties = 0
    for (const _ in key) properties++
    return properties === 3 ? { source, destination, k } : undefined
  } catch {
    return undefined
  }
}

const SHOWN_CHARACTERS = 64
/** A property's name for messages, shortened: it may have any length. */
export const shown = (name: string): string =>
  name.length <= SHOWN_CHARACTERS ? name : `${name.slice(0, SHOWN_CHARACTERS)}…`
