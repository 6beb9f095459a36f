/**
 * The raw driver: the same tables, the plainest prepared statements and the same mapping of a row, by hand, with
 * nothing around them. The library is compared with it.
 */
import type Sqlite from 'better-sqlite3'
import type { MeshNode, NewMeshNode, PathBundle, PathKey, Policy } from '../src/index.ts'
import { openDriver } from './driver.ts'

export type Durability = 'full' | 'normal'

export interface NodeRow {
  node_id: string
  interfaces: string
  protocols: string
  started: number
  routes_discovered: number
  created_at: number
  updated_at: number
}
interface PolicyRow {
  policy_id: string
  yaml_content: string
  rules_count: number
  created_at: number
  updated_at: number
}
type PolicyText = Pick<Policy, 'policyId' | 'yamlContent' | 'rulesCount'>

const timeOf = (seconds: number): Date => new Date(Math.round(seconds * 1000))
export const nodeOf = (row: NodeRow): MeshNode => ({
  nodeId: row.node_id,
  interfaces: JSON.parse(row.interfaces),
  protocols: JSON.parse(row.protocols),
  started: row.started === 1,
  routesDiscovered: row.routes_discovered,
  createdAt: timeOf(row.created_at),
  updatedAt: timeOf(row.updated_at),
})
const policyOf = (row: PolicyRow): Policy => ({
  policyId: row.policy_id,
  yamlContent: row.yaml_content,
  rulesCount: row.rules_count,
  createdAt: timeOf(row.created_at),
  updatedAt: timeOf(row.updated_at),
})
const keyOf = ({ source, destination, k }: PathKey): string => `${source}:${destination}:${k}`
const now = (): number => Date.now() / 1000

const prepared = (raw: Sqlite.Database) => ({
  begin: raw.prepare('BEGIN IMMEDIATE'),
  commit: raw.prepare('COMMIT'),
  insertNode: raw.prepare('INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?)'),
  node: raw.prepare<[string], NodeRow>('SELECT * FROM nodes WHERE node_id = ?'),
  nodes: raw.prepare<[string, number], NodeRow>('SELECT * FROM nodes WHERE node_id > ? ORDER BY node_id LIMIT ?'),
  startNode: raw.prepare<[number, number, string], NodeRow>(
    'UPDATE nodes SET started = ?, updated_at = ? WHERE node_id = ? RETURNING *',
  ),
  saveNode: raw.prepare<unknown[], NodeRow>(
    `INSERT INTO nodes VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (node_id) DO UPDATE SET interfaces = excluded.interfaces,
     protocols = excluded.protocols, updated_at = excluded.updated_at RETURNING *`,
  ),
  recordRoutes: raw.prepare<[number, string], NodeRow>(
    'UPDATE nodes SET routes_discovered = routes_discovered + ? WHERE node_id = ? RETURNING *',
  ),
  deleteNode: raw.prepare<[string]>('DELETE FROM nodes WHERE node_id = ?'),
  insertPolicy: raw.prepare('INSERT INTO policies VALUES (?, ?, ?, ?, ?)'),
  policy: raw.prepare<[string], PolicyRow>('SELECT * FROM policies WHERE policy_id = ?'),
  policies: raw.prepare<[number], Omit<PolicyRow, 'yaml_content'>>(
    'SELECT policy_id, rules_count, created_at, updated_at FROM policies ORDER BY policy_id LIMIT ?',
  ),
  updatePolicy: raw.prepare<[string, number, number, string], PolicyRow>(
    'UPDATE policies SET yaml_content = ?, rules_count = ?, updated_at = ? WHERE policy_id = ? RETURNING *',
  ),
  savePolicy: raw.prepare<unknown[], PolicyRow>(
    `INSERT INTO policies VALUES (?, ?, ?, ?, ?) ON CONFLICT (policy_id) DO UPDATE SET
     yaml_content = excluded.yaml_content, rules_count = excluded.rules_count, updated_at = excluded.updated_at RETURNING *`,
  ),
  deletePolicy: raw.prepare<[string]>('DELETE FROM policies WHERE policy_id = ?'),
  paths: raw.prepare<[string, number], { bundle_json: string }>(
    'SELECT bundle_json FROM path_cache WHERE cache_key = ? AND expires_at > ?',
  ),
  setPaths: raw.prepare(
    `INSERT INTO path_cache VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (cache_key) DO UPDATE SET
     bundle_json = excluded.bundle_json, created_at = excluded.created_at, expires_at = excluded.expires_at`,
  ),
  deletePaths: raw.prepare<[string]>('DELETE FROM path_cache WHERE cache_key = ?'),
})

/** One handle on a file that the library has made. Outside of `atomically` every write is a commit of its own. */
export class RawStore {
  readonly raw: Sqlite.Database
  readonly #statements: ReturnType<typeof prepared>

  constructor(path: string, durability: Durability) {
    this.raw = openDriver(path, durability)
    this.#statements = prepared(this.raw)
  }

  createNode(node: NewMeshNode): void {
    this.#statements.insertNode.run(...this.#nodeValues(node))
  }

  /** A batch made by hand: all of them in one commit. */
  createNodes(nodes: readonly NewMeshNode[]): void {
    this.atomically(() => {
      for (const node of nodes) this.createNode(node)
    })
  }

  /** One commit, after all that `work` does. */
  atomically<T>(work: () => T): T {
    const { begin, commit } = this.#statements
    begin.run()
    const result = work()
    commit.run()
    return result
  }

  #nodeValues({ nodeId, interfaces, protocols, started, routesDiscovered }: NewMeshNode) {
    const time = now()
    return [
      nodeId,
      JSON.stringify(interfaces),
      JSON.stringify(protocols),
      started === true ? 1 : 0,
      routesDiscovered ?? 0,
      time,
      time,
    ] as const
  }

  node(nodeId: string): MeshNode | undefined {
    const row = this.#statements.node.get(nodeId)
    return row && nodeOf(row)
  }

  nodes(after: string, limit: number): MeshNode[] {
    return this.#statements.nodes.all(after, limit).map(nodeOf)
  }

  // RETURNING with all(): get() stops at the row, and then SQLite never looks whether a checkpoint is due. The log grows
  // for ever, and each sync of a growing file is slower.
  startNode(nodeId: string, started: boolean): MeshNode | undefined {
    const [row] = this.#statements.startNode.all(started ? 1 : 0, now(), nodeId)
    return row && nodeOf(row)
  }

  saveNode(node: NewMeshNode): MeshNode | undefined {
    const [row] = this.#statements.saveNode.all(...this.#nodeValues(node))
    return row && nodeOf(row)
  }

  recordRoutes(nodeId: string, discovered: number): MeshNode | undefined {
    const [row] = this.#statements.recordRoutes.all(discovered, nodeId)
    return row && nodeOf(row)
  }

  deleteNode(nodeId: string): boolean {
    return this.#statements.deleteNode.run(nodeId).changes > 0
  }

  createPolicy({ policyId, yamlContent, rulesCount }: PolicyText): void {
    const time = now()
    this.#statements.insertPolicy.run(policyId, yamlContent, rulesCount, time, time)
  }

  policy(policyId: string): Policy | undefined {
    const row = this.#statements.policy.get(policyId)
    return row && policyOf(row)
  }

  policies(limit: number): Omit<Policy, 'yamlContent'>[] {
    return this.#statements.policies.all(limit).map((row) => ({
      policyId: row.policy_id,
      rulesCount: row.rules_count,
      createdAt: timeOf(row.created_at),
      updatedAt: timeOf(row.updated_at),
    }))
  }

  updatePolicy({ policyId, yamlContent, rulesCount }: PolicyText): Policy | undefined {
    const [row] = this.#statements.updatePolicy.all(yamlContent, rulesCount, now(), policyId)
    return row && policyOf(row)
  }

  savePolicy({ policyId, yamlContent, rulesCount }: PolicyText): Policy | undefined {
    const time = now()
    const [row] = this.#statements.savePolicy.all(policyId, yamlContent, rulesCount, time, time)
    return row && policyOf(row)
  }

  deletePolicy(policyId: string): boolean {
    return this.#statements.deletePolicy.run(policyId).changes > 0
  }

  paths(key: PathKey): PathBundle | undefined {
    const row = this.#statements.paths.get(keyOf(key), now())
    return row && JSON.parse(row.bundle_json)
  }

  setPaths(key: PathKey, bundle: PathBundle, ttlSeconds: number): void {
    const time = now()
    const { source, destination, k } = key
    this.#statements.setPaths.run(keyOf(key), source, destination, k, JSON.stringify(bundle), time, time + ttlSeconds)
  }

  deletePaths(key: PathKey): boolean {
    return this.#statements.deletePaths.run(keyOf(key)).changes > 0
  }

  close(): void {
    this.raw.close()
  }
}
