/** The application's own tables, beside the library's nodes, policies and cached paths. */
import { fileURLToPath } from 'node:url'
import { schema, table } from 'meshstore/tables'
import * as postgres from './postgres.ts'
import * as sqlite from './sqlite.ts'

/** A changed link drops the cached paths through its ends, whichever program changes it. */
export const links = table({
  sqlite: sqlite.links,
  postgres: postgres.links,
  key: 'linkId',
  rules: { cost: (cost) => (cost >= 0 ? undefined : 'must not be negative') },
  invalidates: { through: ['source', 'target'], columns: ['source', 'target', 'cost'] },
})
export const nodeLabels = table({ sqlite: sqlite.nodeLabels, postgres: postgres.nodeLabels, key: 'labelId' })
export const meshFacts = table({ sqlite: sqlite.meshFacts, postgres: postgres.meshFacts, key: 'name' })

export const tables = schema({ links, nodeLabels, meshFacts })

/** The migrations that drizzle-kit generates: a folder for each dialect. */
export const migrations = fileURLToPath(new URL('../../drizzle', import.meta.url))

const escaped = (text: string): string => text.replaceAll('%', '%25').replaceAll(':', '%3A')

/** Two texts as one key, as the cache encodes its keys: ids may hold colons. */
export const keyOf = (one: string, other: string): string => `${escaped(one)}:${escaped(other)}`
