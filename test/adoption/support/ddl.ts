/** The client's statements, and rows as the application writes them. */
import type { Cell, Row } from './cells.ts'

export const NODES = `CREATE TABLE nodes (
  node_id TEXT PRIMARY KEY,
  interfaces TEXT NOT NULL,
  protocols TEXT NOT NULL,
  started BOOLEAN DEFAULT 0,
  routes_discovered INTEGER DEFAULT 0,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
);
CREATE INDEX idx_nodes_started ON nodes(started);`
export const POLICIES = `CREATE TABLE policies (
  policy_id TEXT PRIMARY KEY,
  yaml_content TEXT NOT NULL,
  rules_count INTEGER NOT NULL,
  created_at REAL NOT NULL,
  updated_at REAL NOT NULL
);`
export const PATH_CACHE = `CREATE TABLE path_cache (
  cache_key TEXT PRIMARY KEY,
  source TEXT NOT NULL,
  destination TEXT NOT NULL,
  k INTEGER NOT NULL,
  bundle_json TEXT NOT NULL,
  created_at REAL NOT NULL,
  expires_at REAL NOT NULL
);
CREATE INDEX idx_cache_expires ON path_cache(expires_at);
CREATE INDEX idx_cache_source_dest ON path_cache(source, destination);`

export const DDL = `${NODES}\n${POLICIES}\n${PATH_CACHE}`
/** The other spelling. */
export const INTEGER_DDL = DDL.replace('started BOOLEAN', 'started INTEGER')

/** As `time.time()` says it, with microseconds. */
export const NOW = 1_762_300_800.123457
/** Long after every test. */
export const LATER = 4_102_444_800.5

type Given<Columns extends string> = Partial<Record<Columns, Cell>> & { rowid?: bigint }
type NodeColumns =
  | 'node_id'
  | 'interfaces'
  | 'protocols'
  | 'started'
  | 'routes_discovered'
  | 'created_at'
  | 'updated_at'
type PolicyColumns = 'policy_id' | 'yaml_content' | 'rules_count' | 'created_at' | 'updated_at'
type PathColumns = 'cache_key' | 'source' | 'destination' | 'k' | 'bundle_json' | 'created_at' | 'expires_at'

export function nodeRow({ rowid, ...given }: Given<NodeColumns> = {}): Row {
  const columns: Record<NodeColumns, Cell> = {
    node_id: 'gw-1',
    interfaces: '["eth0", "wlan0"]',
    protocols: '["batman-adv"]',
    started: true,
    routes_discovered: 7n,
    created_at: NOW,
    updated_at: NOW + 1,
    ...given,
  }
  return { table: 'nodes', rowid, values: Object.values(columns) }
}

export function policyRow({ rowid, ...given }: Given<PolicyColumns> = {}): Row {
  const columns: Record<PolicyColumns, Cell> = {
    policy_id: 'default',
    yaml_content: 'rules:\n  - { id: all, effect: ALLOW }  # ünïcode 😀\r\n',
    rules_count: 1n,
    created_at: NOW,
    updated_at: NOW,
    ...given,
  }
  return { table: 'policies', rowid, values: Object.values(columns) }
}

export function pathRow({ rowid, ...given }: Given<PathColumns> = {}): Row {
  const { source = 'gw-1', destination = 'gw-9', k = 3n } = given
  const columns: Record<PathColumns, Cell> = {
    cache_key: `${String(source)}:${String(destination)}:${String(k)}`,
    source,
    destination,
    k,
    bundle_json: JSON.stringify({ source, destination, primary: [] }, (_, value) =>
      typeof value === 'bigint' ? String(value) : value,
    ),
    created_at: NOW,
    expires_at: LATER,
    ...given,
  }
  return { table: 'path_cache', rowid, values: Object.values(columns) }
}
