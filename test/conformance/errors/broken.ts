/** Breaks a row, column by column, and reads it. */
import type { Table, Value } from '../../support/other-program.ts'
import { pathKey } from '../../support/samples.ts'
import type { Stage } from '../../support/settings.ts'

export const CANARY = 'canary-7f3a'
export const NO_LIST_OF_STRINGS = `{"${CANARY}":1}`

/** Values that break a column: one that takes anything, and one that has a type. */
interface Breaking {
  readonly loose: readonly Value[]
  readonly typed: readonly Value[]
}

const A_BLOB: Value = Buffer.from(CANARY)
const NO_STRINGS: readonly Value[] = [NO_LIST_OF_STRINGS, `["${CANARY}",1]`, '[null]', '"eth0"']
const NO_BUNDLES: readonly Value[] = [CANARY, '[]', '7', 'null', '']
const NO_TIMES: readonly Value[] = [9e12, Number.POSITIVE_INFINITY]
const LISTS: Breaking = { loose: [...NO_STRINGS, CANARY, '', A_BLOB], typed: NO_STRINGS }
const TIMES: Breaking = { loose: [...NO_TIMES, CANARY, '2026-01-01', A_BLOB], typed: [...NO_TIMES, Number.NaN] }
const INTEGERS: Breaking = { loose: [CANARY, 1.5, A_BLOB], typed: [] }
const FLAGS: Breaking = { loose: [CANARY, 0.5, 2, A_BLOB], typed: [] }
const TEXTS: Breaking = { loose: [A_BLOB], typed: [] }
const BUNDLES: Breaking = { loose: [...NO_BUNDLES, A_BLOB], typed: NO_BUNDLES }

/** A call that reads one row. */
type Act = (stage: Stage, id: string) => Promise<unknown>
type Acts = Readonly<Record<string, Act>>

/** The page of this row alone, for an id that ends with a digit. */
const listFrom = (id: string) => {
  const before = String.fromCharCode(id.charCodeAt(id.length - 1) - 1)
  return { after: `${id.slice(0, -1)}${before}~`, limit: 1 }
}

const NODE_READS: Acts = {
  get: ({ nodes }, id) => nodes.get(id),
  getMany: ({ nodes }, id) => nodes.getMany(['sound', id]),
  list: ({ nodes }, id) => nodes.list(listFrom(id)),
  iterate: ({ nodes }) => nodes.iterate()[Symbol.asyncIterator]().next(),
}
const NODE_CONDITIONAL: Acts = {
  'update with ifUpdatedAt': ({ nodes, clock }, id) => nodes.update(id, {}, { ifUpdatedAt: clock.now() }),
}
const NODE_WRITES: Acts = {
  ...NODE_CONDITIONAL,
  update: ({ nodes }, id) => nodes.update(id, {}),
  recordRoutes: ({ nodes }, id) => nodes.recordRoutes(id),
}
const POLICY_READS: Acts = {
  get: ({ policies }, id) => policies.get(id),
}
const POLICY_LISTS: Acts = {
  list: ({ policies }, id) => policies.list(listFrom(id)),
  iterate: ({ policies }) => policies.iterate()[Symbol.asyncIterator]().next(),
}
const POLICY_WRITES: Acts = {
  update: ({ policies }, id) => policies.update(id, {}),
}
const CACHE_ENTRIES: Acts = {
  getEntry: ({ pathCache }, id) => pathCache.getEntry(pathKey(id, 'z')),
  list: ({ pathCache }, source) => pathCache.list({ source }),
  iterate: ({ pathCache }) => pathCache.iterate()[Symbol.asyncIterator]().next(),
}
const CACHE_GET: Acts = {
  get: ({ pathCache }, id) => pathCache.get(pathKey(id, 'z')),
}

export interface Case {
  readonly table: Table
  readonly column: string
  readonly values: Breaking
  readonly acts: Acts
}
const EVERY: readonly Case[] = [
  { table: 'nodes', column: 'interfaces', values: LISTS, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'protocols', values: LISTS, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'started', values: FLAGS, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'routes_discovered', values: INTEGERS, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'created_at', values: TIMES, acts: { ...NODE_READS, ...NODE_WRITES } },
  { table: 'nodes', column: 'updated_at', values: TIMES, acts: { ...NODE_READS, ...NODE_CONDITIONAL } },
  { table: 'policies', column: 'yaml_content', values: TEXTS, acts: { ...POLICY_READS, ...POLICY_WRITES } },
  {
    table: 'policies',
    column: 'rules_count',
    values: INTEGERS,
    acts: { ...POLICY_READS, ...POLICY_LISTS, ...POLICY_WRITES },
  },
  {
    table: 'policies',
    column: 'created_at',
    values: TIMES,
    acts: { ...POLICY_READS, ...POLICY_LISTS, ...POLICY_WRITES },
  },
  { table: 'policies', column: 'updated_at', values: TIMES, acts: { ...POLICY_READS, ...POLICY_LISTS } },
  { table: 'path_cache', column: 'bundle_json', values: BUNDLES, acts: { ...CACHE_ENTRIES, ...CACHE_GET } },
  { table: 'path_cache', column: 'k', values: INTEGERS, acts: CACHE_ENTRIES },
  { table: 'path_cache', column: 'created_at', values: TIMES, acts: CACHE_ENTRIES },
  // A text is above every number: such a row would never expire.
  { table: 'path_cache', column: 'expires_at', values: TIMES, acts: { ...CACHE_ENTRIES, ...CACHE_GET } },
]

/** Values that a column with a type can hold once its checks are set aside. */
export const CASES = EVERY.filter(({ values }) => values.typed.length > 0)
/** A column with a type accepts none of these values. */
export const LOOSE_CASES = EVERY.filter(({ values }) => values.typed.length === 0)
