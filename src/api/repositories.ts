/** Nodes and policies, and what all repositories take. */
import type {
  MeshNode,
  MeshNodePatch,
  NewMeshNode,
  NewPolicy,
  Policy,
  PolicyPatch,
  PolicySummary,
} from '../schema/index.ts'

/** Where a page begins, and how long it is. */
export interface Page {
  /** At most so many: 100 by default, 10,000 at most. */
  readonly limit?: number | undefined
  /** The last key that was seen: the page begins behind it. */
  readonly after?: string | undefined
}

/** Only the nodes that match every property given. */
export interface NodeFilter {
  readonly started?: boolean | undefined
  /** Nodes that speak this protocol. */
  readonly protocol?: string | undefined
  /** Nodes that have this interface. */
  readonly interface?: string | undefined
}

export interface UpdateOptions {
  /**
   * Update only the row as it was read: its `updatedAt`, compared to the millisecond. CONFLICT if it has changed.
   */
  readonly ifUpdatedAt?: Date | undefined
}

/**
 * The nodes of the mesh, by id. Ids are 1–255 characters; order and paging follow their UTF-8 bytes.
 *
 * Every method rejects with VALIDATION for what it cannot take, with CORRUPT for a stored row that breaks the rules,
 * and with BUSY, CLOSED, READ_ONLY, STORAGE_FULL or OUTCOME_UNKNOWN as their descriptions say.
 */
export interface NodeRepository {
  /** Adds a node. `createdAt` is kept if given. Rejects with ALREADY_EXISTS. */
  create(node: NewMeshNode): Promise<MeshNode>
  /** Adds all of them or none; with ALREADY_EXISTS none. Any number: it is one transaction. */
  createMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]>
  /** `undefined` if there is no such node. */
  get(nodeId: string): Promise<MeshNode | undefined>
  /** Those that exist, in the order asked for. At most 10,000 ids. */
  getMany(nodeIds: readonly string[]): Promise<MeshNode[]>
  /** One page, in the order of the ids. */
  list(options?: NodeFilter & Page): Promise<MeshNode[]>
  /** All that match, in the order of the ids, in constant memory. Each id comes at most once. */
  iterate(filter?: NodeFilter): AsyncIterable<MeshNode>
  /** Changes the fields given and moves `updatedAt`. Rejects with NOT_FOUND, and with CONFLICT by `ifUpdatedAt`. */
  update(nodeId: string, patch: MeshNodePatch, options?: UpdateOptions): Promise<MeshNode>
  /** Adds the node, or replaces the fields given. `createdAt` is kept; times that are given are ignored. */
  save(node: NewMeshNode): Promise<MeshNode>
  /** Saves all of them or none, in order. */
  saveMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]>
  /** Adds to `routesDiscovered`, 1 by default, atomically; leaves `updatedAt` alone. Rejects with NOT_FOUND. */
  recordRoutes(nodeId: string, discovered?: number): Promise<MeshNode>
  /** Whether there was such a node. */
  delete(nodeId: string): Promise<boolean>
  count(filter?: NodeFilter): Promise<number>
}

/** The policies, by id. The same rules as for nodes. A text is YAML: up to 1 MiB, kept byte for byte. */
export interface PolicyRepository {
  /** Adds a policy. Rejects with ALREADY_EXISTS, and with VALIDATION (line and column) for what is not YAML. */
  create(policy: NewPolicy): Promise<Policy>
  /** Adds all of them or none. */
  createMany(policies: readonly NewPolicy[]): Promise<Policy[]>
  /** `undefined` if there is no such policy. */
  get(policyId: string): Promise<Policy | undefined>
  /** One page, in the order of the ids, without the texts. */
  list(options?: Page): Promise<PolicySummary[]>
  /** All of them, in the order of the ids, without the texts. */
  iterate(): AsyncIterable<PolicySummary>
  /** Rejects with NOT_FOUND, and with CONFLICT by `ifUpdatedAt`. */
  update(policyId: string, patch: PolicyPatch, options?: UpdateOptions): Promise<Policy>
  /** Adds the policy or replaces its text. */
  save(policy: NewPolicy): Promise<Policy>
  /** Whether there was such a policy. */
  delete(policyId: string): Promise<boolean>
  count(): Promise<number>
}
