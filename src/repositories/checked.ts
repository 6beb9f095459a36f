import { validationError } from '../errors.ts'
import { nextTurn } from '../event-loop.ts'
import type { MeshNodePatch, NewMeshNode, NewPolicy, PolicyPatch } from '../schema/index.ts'
import * as rules from '../schema/rules.ts'
import { type Column, TABLES, type Table } from '../schema/tables.ts'

/**
 * Validates arguments. Each method copies its arguments synchronously, before it awaits anything: writes take effect in
 * the order of the calls, with the values at the time of the call.
 */

interface Kind {
  readonly what: string
  readonly rules: rules.Rules
  readonly required: readonly string[]
}
const kindOf = (what: string, columns: readonly Column[], required: readonly Column[]): Kind => ({
  what,
  rules: Object.fromEntries(columns.map(({ property, rule }) => [property, rule])),
  required: required.map(({ property }) => property),
})
const newOf = (what: string, { columns }: Table): Kind =>
  kindOf(
    what,
    columns,
    columns.filter(({ filledIn }) => filledIn === undefined),
  )

/** Copies of values that keep the rules. */
interface Door<New> {
  /** `undefined` for a value that is not valid. */
  readonly sound: (value: unknown) => New | undefined
  /** Throws VALIDATION. */
  readonly checked: (snapshot: rules.Snapshot, path?: string) => New
}
/** The rules give each property the type that it has in the row. */
const doorOf = <New>({ what, rules: kept, required }: Kind): Door<New> => ({
  sound: (value) => rules.soundCopy(kept, value, required) as New | undefined,
  checked: (snapshot, path = '') => rules.checkedSnapshot(what, kept, snapshot, { required, path }) as New,
})
const NODE = doorOf<NewMeshNode>(newOf('The node', TABLES.nodes))
const POLICY = doorOf<NewPolicy>(newOf('The policy', TABLES.policies))

const through =
  <New>(door: Door<New>) =>
  (value: unknown): New =>
    door.sound(value) ?? door.checked(rules.snapshotOf(value))

/** Validates a row by its table's description. */
export const checkedRow = <New>(what: string, table: Table): ((row: unknown) => New) =>
  through(doorOf<New>(newOf(what, table)))

export const checkedNode = through(NODE)
export const checkedNodePatch = through(doorOf<MeshNodePatch>(kindOf('The patch', TABLES.nodes.patch, [])))
export const checkedPolicy = through(POLICY)
export const checkedPolicyPatch = through(doorOf<PolicyPatch>(kindOf('The patch', TABLES.policies.patch, [])))

/** A copy of the list. Throws VALIDATION if `list` is not a list. */
export function snapshotsOf(what: string, values: unknown): rules.Snapshot[] {
  if (!Array.isArray(values)) throw validationError(what, [{ path: '', message: 'must be a list' }])
  return Array.from(values, rules.snapshotOf)
}

/** The keys of unvalidated rows: the session needs a call's keys when the call is made. */
export const keysOf = (snapshots: readonly rules.Snapshot[], name: string): string[] =>
  snapshots.flatMap((snapshot) => {
    const key = Array.isArray(snapshot) ? snapshot.find(([each]) => each === name)?.[1] : undefined
    return typeof key === 'string' ? [key] : []
  })

/** Calls of a list's rows, and their keys where the calls are still being computed. */
export interface Checked<T> {
  readonly calls: T[] | Promise<T[]>
  readonly keys: readonly string[]
}

/** Rows that are checked and copied in one pass: about 10 ms. */
const MOST_IN_ONE_PASS = 10_000

/** Validates and copies each row: a list of up to 10,000 valid rows in one pass, others by their snapshots. */
export function checkedRows<Row, T>(
  list: { what: string; key: string; values: unknown },
  on: Door<Row>,
  use: (row: Row) => T,
): Checked<T> {
  const { what, key, values } = list
  const sound =
    Array.isArray(values) && values.length <= MOST_IN_ONE_PASS ? soundRows(values, on.sound, use) : undefined
  if (sound !== undefined) return { calls: sound, keys: [] }
  const snapshots = snapshotsOf(what, values)
  return {
    calls: checkedAll(snapshots, (snapshot, path) => use(on.checked(snapshot, path))),
    keys: keysOf(snapshots, key),
  }
}

/** `undefined` if a row is not valid. */
function soundRows<Row, T>(
  values: readonly unknown[],
  soundCopy: (value: unknown) => Row | undefined,
  use: (row: Row) => T,
): T[] | undefined {
  const all: T[] = []
  for (let at = 0; at < values.length; at++) {
    const row = soundCopy(values[at])
    if (row === undefined) return undefined
    all.push(use(row))
  }
  return all
}

export const checkedNodes = <T>(nodes: unknown, use: (node: NewMeshNode) => T): Checked<T> =>
  checkedRows({ what: 'The nodes', key: 'nodeId', values: nodes }, NODE, use)

export const checkedPolicies = <T>(
  policies: rules.Snapshot[],
  use: (policy: NewPolicy, path: string) => T,
): T[] | Promise<T[]> => checkedAll(policies, (snapshot, path) => use(POLICY.checked(snapshot, path), path))

/** Values that are validated between two yields. */
const SLICE = 1_000

/** Validates each element, in slices if there are many. `path` is `[0]`, `[1]` and so on. */
function checkedAll<T>(
  snapshots: rules.Snapshot[],
  check: (snapshot: rules.Snapshot, path: string) => T,
): T[] | Promise<T[]> {
  const checkSlice = (from: number): T[] =>
    snapshots.slice(from, from + SLICE).map((snapshot, index) => check(snapshot, `[${from + index}]`))
  if (snapshots.length <= SLICE) return checkSlice(0)
  const checked = inSlices(snapshots.length, checkSlice)
  // Mark the rejection as handled: a refused write never awaits this promise.
  checked.catch(() => {})
  return checked
}

async function inSlices<T>(count: number, slice: (from: number) => T[]): Promise<T[]> {
  const all: T[] = []
  for (let from = 0; from < count; from += SLICE) {
    await nextTurn()
    for (const each of slice(from)) all.push(each)
  }
  return all
}
