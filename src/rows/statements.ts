/** What an import asks of a database. Times and bundles are written as they are in the file, past the repositories. */
import { excluded } from '../database/queries.ts'
import { pick, type Statement, statement } from '../database/statement.ts'
import type { JsonText, StoredTime } from '../schema/codecs.ts'
import type { CachedPath, MeshNode, Policy } from '../schema/index.ts'
import type { TableName } from './tables.ts'

type Exact<T> = { [K in keyof T]: T[K] extends Date ? Date | StoredTime : T[K] }
type StoredNode = Exact<MeshNode>
type StoredPolicy = Exact<Policy>
type StoredPath = Exact<Omit<CachedPath, 'bundle'>> & { bundle: CachedPath['bundle'] | JsonText }

const NODE = ['nodeId', 'interfaces', 'protocols', 'started', 'routesDiscovered', 'createdAt', 'updatedAt'] as const
const POLICY = ['policyId', 'yamlContent', 'rulesCount', 'createdAt', 'updatedAt'] as const
const PATH = ['cacheKey', 'source', 'destination', 'k', 'bundle', 'createdAt', 'expiresAt'] as const
const ONE = 'inserts one row'

const insertNode = statement<StoredNode>()(
  'transfer.nodes',
  (db, { nodes }, p) => db.insert(nodes).values(pick(p, NODE)).onConflictDoNothing(),
  ONE,
)
const insertPolicy = statement<StoredPolicy>()(
  'transfer.policies',
  (db, { policies }, p) => db.insert(policies).values(pick(p, POLICY)).onConflictDoNothing(),
  ONE,
)
const insertPath = statement<StoredPath>()(
  'transfer.path_cache',
  (db, { pathCache }, p) => db.insert(pathCache).values(pick(p, PATH)).onConflictDoNothing(),
  ONE,
)

const replaceNode = statement<StoredNode>()(
  'transfer.nodes.replace',
  (db, { nodes }, p) => {
    const set = {
      interfaces: excluded(nodes.interfaces),
      protocols: excluded(nodes.protocols),
      started: excluded(nodes.started),
      routesDiscovered: excluded(nodes.routesDiscovered),
      createdAt: excluded(nodes.createdAt),
      updatedAt: excluded(nodes.updatedAt),
    }
    return db.insert(nodes).values(pick(p, NODE)).onConflictDoUpdate({ target: nodes.nodeId, set })
  },
  ONE,
)
const replacePolicy = statement<StoredPolicy>()(
  'transfer.policies.replace',
  (db, { policies }, p) => {
    const set = {
      yamlContent: excluded(policies.yamlContent),
      rulesCount: excluded(policies.rulesCount),
      createdAt: excluded(policies.createdAt),
      updatedAt: excluded(policies.updatedAt),
    }
    return db.insert(policies).values(pick(p, POLICY)).onConflictDoUpdate({ target: policies.policyId, set })
  },
  ONE,
)
const replacePath = statement<StoredPath>()(
  'transfer.path_cache.replace',
  (db, { pathCache }, p) => {
    const set = {
      source: excluded(pathCache.source),
      destination: excluded(pathCache.destination),
      k: excluded(pathCache.k),
      bundle: excluded(pathCache.bundle),
      createdAt: excluded(pathCache.createdAt),
      expiresAt: excluded(pathCache.expiresAt),
    }
    return db.insert(pathCache).values(pick(p, PATH)).onConflictDoUpdate({ target: pathCache.cacheKey, set })
  },
  ONE,
)

type Keys = { keys: readonly string[] }
const nodeKeys = statement<Keys>()('transfer.nodes.keys', (db, { nodes }, p, fn) =>
  db.select({ key: nodes.nodeId }).from(nodes).where(fn.isOneOf(nodes.nodeId, p.keys)),
)
const policyKeys = statement<Keys>()('transfer.policies.keys', (db, { policies }, p, fn) =>
  db.select({ key: policies.policyId }).from(policies).where(fn.isOneOf(policies.policyId, p.keys)),
)
const pathKeys = statement<Keys>()('transfer.path_cache.keys', (db, { pathCache }, p, fn) =>
  db.select({ key: pathCache.cacheKey }).from(pathCache).where(fn.isOneOf(pathCache.cacheKey, p.keys)),
)

/** By property. The door has given each value the type that its column takes. */
export type Parameters = Readonly<Record<string, unknown>>
type Write = Statement<Parameters, unknown>
export const asWrite = <P, R>(specific: Statement<P, R>): Write => specific as unknown as Write

export interface TableStatements {
  /** The keys that exist, of those given. */
  readonly existing: Statement<Keys, { key: string }>
  readonly insert: Write
  /** Every column becomes what it is in the file. */
  readonly replace: Write
}

export const STATEMENTS: Readonly<Record<TableName, TableStatements>> = {
  nodes: { existing: nodeKeys, insert: asWrite(insertNode), replace: asWrite(replaceNode) },
  policies: { existing: policyKeys, insert: asWrite(insertPolicy), replace: asWrite(replacePolicy) },
  path_cache: { existing: pathKeys, insert: asWrite(insertPath), replace: asWrite(replacePath) },
}
