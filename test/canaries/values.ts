/** Which strings of a call are values that are bound: everything but ids and the names of properties. */
import { types } from 'node:util'

/** Properties whose values may appear in messages. */
const ID_PROPERTIES: ReadonlySet<string> = new Set([
  'nodeId',
  'policyId',
  'source',
  'destination',
  'after',
  'prefix',
  'orderBy',
])
/** Shorter ones occur everywhere. */
const SHORTEST = 8
/** Enough to know a text again, and what is cut off at its end. */
const LONGEST = 60
/** Objects and lists that are walked through in one call, and members of each. */
const MOST = 200
const MOST_PARTS = 25

export interface Strings {
  /** To be looked for. */
  readonly values: Set<string>
  /** Ids, and names of properties. */
  readonly names: Set<string>
}

export function stringsOf(args: readonly unknown[]): Strings {
  const strings: Strings = { values: new Set(), names: new Set() }
  const budget = { left: MOST }
  for (const [index, arg] of args.entries()) {
    // The first of several is the id; so are those of a list of strings.
    if (types.isProxy(arg)) continue
    if (typeof arg === 'string') (index === 0 ? addName : addValue)(strings, arg)
    else if (Array.isArray(arg) && typeof arg[0] === 'string') for (const id of arg.slice(0, MOST)) addName(strings, id)
    else walk(strings, arg, budget)
  }
  return strings
}

const addName = ({ names }: Strings, name: unknown): void => {
  if (typeof name === 'string' && name.length >= SHORTEST) names.add(name)
}

/** A text is looked for by its beginning, its lines and the longer of its words: a message may quote a part of it. */
function addValue({ values }: Strings, text: string): void {
  if (text.length < SHORTEST) return
  values.add(text.slice(0, LONGEST))
  const head = text.slice(0, 4_000)
  const parts = [...head.split(/[\r\n]+/), ...head.split(/[\s"'{}[\],:]+/).filter((word) => word.length > SHORTEST)]
  for (const part of parts.map((each) => each.trim()).slice(0, MOST_PARTS)) {
    if (part.length >= SHORTEST) values.add(part.slice(0, LONGEST))
  }
}

/** Runs no code of what it walks through: accessors and proxies are left alone. */
function walk(strings: Strings, value: unknown, budget: { left: number }): void {
  if (typeof value !== 'object' || value === null || types.isProxy(value) || ArrayBuffer.isView(value)) return
  if (budget.left-- <= 0) return
  const keys = Array.isArray(value) ? Object.keys(value.slice(0, MOST)) : Object.keys(value)
  for (const key of keys.slice(0, MOST)) {
    const member: unknown = Object.getOwnPropertyDescriptor(value, key)?.value
    const named = !Array.isArray(value)
    if (named) addName(strings, key)
    if (typeof member !== 'string') walk(strings, member, budget)
    else if (named && ID_PROPERTIES.has(key)) addName(strings, member)
    else addValue(strings, member)
  }
}
