/** The tables' names, for code that must not load the tables themselves. */

/** The tables with data, and the property that is the key of each. */
export const KEYS = { nodes: 'nodeId', policies: 'policyId', path_cache: 'cacheKey' } as const

export type TableName = keyof typeof KEYS
export const TABLE_NAMES = Object.keys(KEYS) as TableName[]
export const isTableName = (value: unknown): value is TableName => Object.hasOwn(KEYS, value as string)

/** What the library keeps for itself, and makes anew in another database. */
export const BOOKKEEPING = [
  'meshstore_state',
  'path_cache_marks',
  'path_cache_stamps',
  'meshstore_changes',
  'meshstore_consumers',
] as const
