/** Databases to be migrated: with rows of every kind, and more of them than one step of anything takes. */
import { basename } from 'node:path'
import { openStorage } from '../../src/index.ts'
import type { TestDatabase } from '../postgres/support/database.ts'
import { foreignFile, type Table, type Value } from '../support/other-program.ts'
import { bundle, manyNodes, pathKey } from '../support/samples.ts'

const NODES = 300
const POLICIES = 60
const PATHS = 200
const text = (rules: number): string => `rules:\n${'  - { id: allow, effect: ALLOW }\n'.repeat(rules)}`
/** The rules of each policy: so many that a copy of the file takes several steps. */
export const MANY_RULES = 700

/** A file as the first migration leaves it, with rows. */
export async function filledFile(path: string, { rules }: { rules: number }): Promise<void> {
  await using store = await openStorage(path)
  const { nodes, policies, pathCache } = store
  await nodes.createMany(manyNodes(NODES))
  await policies.createMany(
    Array.from({ length: POLICIES }, (_, index) => ({
      policyId: `p-${index}`,
      yamlContent: `# ${index}\n${text(rules)}`,
    })),
  )
  const set = (index: number): Promise<unknown> =>
    pathCache.set(pathKey(`a-${index}`, 'b'), bundle(`a-${index}`, 'b'), { ttlSeconds: 86_400 })
  await Promise.all(Array.from({ length: PATHS }, (_, index) => set(index)))
}

/** The same for a database on a server, each time with the same rows. */
export async function fillPostgres(database: TestDatabase): Promise<void> {
  await (await openStorage(database.url)).close()
  await database.query(`INSERT INTO nodes
    SELECT 'n-' || each, '["eth0"]', '[]', each % 2 = 0, each, 1, 1 FROM generate_series(1, ${NODES}) AS each`)
  await database.query(`INSERT INTO policies
    SELECT 'p-' || each, repeat(each::text, 1000), each, 1, 1 FROM generate_series(1, ${POLICIES}) AS each`)
  await database.query(`INSERT INTO path_cache
    SELECT each || ':b:3', each::text, 'b', 3, '{}', 1, 1 FROM generate_series(1, ${PATHS}) AS each`)
}

/** The client's DDL. */
const DDL = `
  CREATE TABLE IF NOT EXISTS nodes (node_id TEXT PRIMARY KEY, interfaces TEXT NOT NULL, protocols TEXT NOT NULL,
    started BOOLEAN DEFAULT 0, routes_discovered INTEGER DEFAULT 0, created_at REAL NOT NULL, updated_at REAL NOT NULL);
  CREATE TABLE IF NOT EXISTS policies (policy_id TEXT PRIMARY KEY, yaml_content TEXT NOT NULL, rules_count INTEGER NOT NULL,
    created_at REAL NOT NULL, updated_at REAL NOT NULL);
  CREATE TABLE IF NOT EXISTS path_cache (cache_key TEXT PRIMARY KEY, source TEXT NOT NULL, destination TEXT NOT NULL,
    k INTEGER NOT NULL, bundle_json TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL NOT NULL);
  CREATE INDEX IF NOT EXISTS idx_nodes_started ON nodes(started);
  CREATE INDEX IF NOT EXISTS idx_cache_expires ON path_cache(expires_at);
  CREATE INDEX IF NOT EXISTS idx_theirs ON policies(rules_count);`

export type Fate = 'kept' | 'quarantined' | 'dropped'

export interface ForeignRow {
  readonly table: Table
  readonly key: string
  readonly fate: Fate
}

const NOW = 1_764_000_000.25

/** A file that another program made. With `broken`, some of the rows cannot be kept. */
export function foreign(path: string, { broken, rules }: { broken: boolean; rules: number }): ForeignRow[] {
  const all: ForeignRow[] = []
  const inserts: string[] = []
  const add = (table: Table, fate: Fate, values: readonly Value[]): void => {
    all.push({ table, key: String(values[0]), fate })
    inserts.push(`INSERT INTO ${table} VALUES (${values.map(literal).join(', ')})`)
  }
  for (let index = 0; index < NODES; index++) {
    const bad = broken && index % 10 === 3
    const started = index % 7 === 0 ? null : index % 2
    const lists = ['["eth0", "wlan0"]', bad ? 'no list' : '["batman-adv"]']
    add('nodes', bad ? 'quarantined' : 'kept', [`n-${index}`, ...lists, started, index, NOW, NOW + index])
  }
  for (let index = 0; index < POLICIES; index++) {
    const bad = broken && index % 10 === 7
    add('policies', bad ? 'quarantined' : 'kept', [
      `p-${index}`,
      `# ${index}\n${text(rules)}`,
      bad ? 'many' : 1,
      NOW,
      NOW,
    ])
  }
  for (let index = 0; index < PATHS; index++) {
    const [bad, ambiguous] = [broken && index % 10 === 1, broken && index % 10 === 2]
    const [source, target] = [ambiguous ? `fe80::${index}` : `a-${index}`, 'b']
    const fate = bad ? 'quarantined' : ambiguous ? 'dropped' : 'kept'
    const json = bad ? '[]' : JSON.stringify(bundle(source, target))
    add('path_cache', fate, [`${source}:${target}:3`, source, target, 3, json, NOW, 4 * NOW])
  }
  foreignFile(path, `${DDL}\nBEGIN;\n${inserts.join(';\n')};\nCOMMIT;`)
  return all
}

const literal = (value: Value): string =>
  value === null ? 'NULL' : typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value)

/** The files that a run left beside the database, by kind. */
export function leftOver(path: string, names: readonly string[]): Record<'copies' | 'partial' | 'other', string[]> {
  const file = basename(path)
  const rest = names.filter((name) => !['', '-wal', '-shm', '-journal'].some((suffix) => name === file + suffix))
  const partial = rest.filter((name) => name.includes('.partial-'))
  const all = rest.filter((name) => name.startsWith(`${file}.before-`) && !partial.includes(name))
  // Each has a manifest beside it.
  const copies = all.filter((name) => !name.endsWith('.manifest.json'))
  return { copies, partial, other: rest.filter((name) => !partial.includes(name) && !all.includes(name)) }
}
