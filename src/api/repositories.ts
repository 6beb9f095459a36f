/** The repositories of nodes and policies, and the options that all repositories take. */
import type {
  MeshNode,
  MeshNodePatch,
  NewMeshNode,
  NewPolicy,
  Policy,
  PolicyPatch,
  PolicySummary,
} from '../schema/index.ts'

/** A page of a listing: keyset pagination. */
export interface Page {
  /** Maximum number of rows in the page: 100 by default, 10,000 at most. */
  readonly limit?: number | undefined
  /** The last key of the previous page: this page begins after it. */
  readonly after?: string | undefined
}

/** The order of a listing. */
export interface Ordering<By extends string> {
  /** Order by this property, then by the id. Default: the id. */
  readonly orderBy?: By | undefined
  /** Default: `false`. */
  readonly descending?: boolean | undefined
}

/** A page of a listing in an order: keyset pagination. */
export interface OrderedPage<Row> {
  /** Maximum number of rows in the page: 100 by default, 10,000 at most. */
  readonly limit?: number | undefined
  /** The last row of the previous page, or in the order of the ids its id: this page begins after it. */
  readonly after?: string | Row | undefined
}

/** Only the nodes that match every property given. */
export interface NodeFilter {
  /** Nodes whose ids begin with this text. */
  readonly prefix?: string | undefined
  readonly started?: boolean | undefined
  /** Nodes that speak this protocol. */
  readonly protocol?: string | undefined
  /** Nodes that have this interface. */
  readonly interface?: string | undefined
}

/** Which nodes a listing has, and in which order. */
export interface NodeSelection extends NodeFilter, Ordering<'nodeId' | 'updatedAt'> {}
/** A page of nodes. */
export interface NodePage extends NodeSelection, OrderedPage<Pick<MeshNode, 'nodeId' | 'updatedAt'>> {}

/** Only the policies that match every property given. */
export interface PolicyFilter {
  /** Policies whose ids begin with this text. */
  readonly prefix?: string | undefined
}
/** Which policies a listing has, and in which order. */
export interface PolicySelection extends PolicyFilter, Ordering<'policyId' | 'updatedAt'> {}
/** A page of policies. */
export interface PolicyPage extends PolicySelection, OrderedPage<Pick<Policy, 'policyId' | 'updatedAt'>> {}

/** The result of `save` with `{ outcome: true }`. */
export interface Saved<Row> {
  /** The row as it is stored now. */
  readonly row: Row
  /** Whether there was no row with this key. */
  readonly created: boolean
}

export interface UpdateOptions {
  /**
   * Optimistic concurrency control: the `updatedAt` of the row as you read it, compared to the millisecond. CONFLICT if it has changed.
   */
  readonly ifUpdatedAt?: Date | undefined
}

/**
 * The nodes of the mesh, by id. Ids are 1–255 characters; order and paging follow their UTF-8 bytes.
 *
 * Every method rejects with VALIDATION for an argument that breaks the rules. Every method that returns nodes rejects with CORRUPT for
 * a stored row that breaks the rules. Every method can also reject with the codes that `Repositories` lists.
 */
export interface NodeRepository {
  /**
   * Adds a node. `createdAt` is kept if given.
   *
   * @throws {StorageError} VALIDATION, ALREADY_EXISTS
   */
  create(node: NewMeshNode): Promise<MeshNode>
  /**
   * Adds all nodes or none, in one transaction of any size. If one of them exists, it adds none.
   *
   * @throws {StorageError} VALIDATION, ALREADY_EXISTS
   */
  createMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]>
  /**
   * Returns the node, or `undefined` if there is none.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  get(nodeId: string): Promise<MeshNode | undefined>
  /**
   * Returns the nodes that exist, in the order of `nodeIds`. At most 10,000 ids.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  getMany(nodeIds: readonly string[]): Promise<MeshNode[]>
  /**
   * Returns one page of nodes, in the order of the ids or of `updatedAt`.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  list(options?: NodePage): Promise<MeshNode[]>
  /**
   * Iterates over all nodes that match, in the order of the ids or of `updatedAt`, in constant memory. In the order of the ids, each id
   * comes at most once. In the order of `updatedAt`, a node that is changed meanwhile can come again or be left out.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  iterate(options?: NodeSelection): AsyncIterable<MeshNode>
  /**
   * Changes the fields given and advances `updatedAt`.
   *
   * @throws {StorageError} VALIDATION, NOT_FOUND, CONFLICT (`ifUpdatedAt`), CORRUPT
   */
  update(nodeId: string, patch: MeshNodePatch, options?: UpdateOptions): Promise<MeshNode>
  /**
   * Upsert that says whether it added the node.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  save(node: NewMeshNode, options: { readonly outcome: true }): Promise<Saved<MeshNode>>
  /**
   * Upsert: adds the node, or replaces the fields given. `createdAt` is kept; times that are given are ignored.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  save(node: NewMeshNode): Promise<MeshNode>
  /**
   * Saves all nodes or none, in order, in one transaction.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  saveMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]>
  /**
   * Adds `discovered` (1 by default) to `routesDiscovered`, atomically; leaves `updatedAt` alone.
   *
   * @throws {StorageError} VALIDATION, NOT_FOUND, CORRUPT
   */
  recordRoutes(nodeId: string, discovered?: number): Promise<MeshNode>
  /**
   * Deletes a node. Returns whether there was one.
   *
   * @throws {StorageError} VALIDATION, CONFLICT (`ifUpdatedAt`)
   */
  delete(nodeId: string, options?: UpdateOptions): Promise<boolean>
  /**
   * Changes the fields given in all nodes that match, in one statement, and advances `updatedAt`. Returns the number of nodes. An empty
   * filter is refused.
   *
   * @throws {StorageError} VALIDATION
   */
  updateMany(filter: NodeFilter, patch: MeshNodePatch): Promise<number>
  /**
   * Deletes all nodes that match, in one statement. Returns the number of nodes. An empty filter is refused.
   *
   * @throws {StorageError} VALIDATION
   */
  deleteMany(filter: NodeFilter): Promise<number>
  /**
   * Counts the nodes that match.
   *
   * @throws {StorageError} VALIDATION
   */
  count(filter?: NodeFilter): Promise<number>
}

/**
 * The policies, by id. The rules of `NodeRepository` about ids, order and errors hold here too. A text is YAML: up to 1 MiB, kept byte
 * for byte.
 */
export interface PolicyRepository {
  /**
   * Adds a policy.
   *
   * @throws {StorageError} ALREADY_EXISTS, VALIDATION (with line and column for a text that is not YAML)
   */
  create(policy: NewPolicy): Promise<Policy>
  /**
   * Adds all policies or none, in one transaction.
   *
   * @throws {StorageError} VALIDATION, ALREADY_EXISTS
   */
  createMany(policies: readonly NewPolicy[]): Promise<Policy[]>
  /**
   * Returns the policy, or `undefined` if there is none.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  get(policyId: string): Promise<Policy | undefined>
  /**
   * Returns the policies that exist, in the order of `policyIds`. At most 10,000 ids.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  getMany(policyIds: readonly string[]): Promise<Policy[]>
  /**
   * Returns one page of policies, in the order of the ids or of `updatedAt`, without the texts.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  list(options?: PolicyPage): Promise<PolicySummary[]>
  /**
   * Iterates over all policies that match, without the texts. Orders are those of the nodes.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  iterate(options?: PolicySelection): AsyncIterable<PolicySummary>
  /**
   * Changes the fields given and advances `updatedAt`.
   *
   * @throws {StorageError} VALIDATION, NOT_FOUND, CONFLICT (`ifUpdatedAt`), CORRUPT
   */
  update(policyId: string, patch: PolicyPatch, options?: UpdateOptions): Promise<Policy>
  /**
   * Upsert that says whether it added the policy.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  save(policy: NewPolicy, options: { readonly outcome: true }): Promise<Saved<Policy>>
  /**
   * Upsert: adds the policy, or replaces its text.
   *
   * @throws {StorageError} VALIDATION, CORRUPT
   */
  save(policy: NewPolicy): Promise<Policy>
  /**
   * Deletes a policy. Returns whether there was one.
   *
   * @throws {StorageError} VALIDATION, CONFLICT (`ifUpdatedAt`)
   */
  delete(policyId: string, options?: UpdateOptions): Promise<boolean>
  /**
   * Changes the fields given in all policies that match, in one statement, and advances `updatedAt`. Returns the number of policies. An
   * empty filter is refused.
   *
   * @throws {StorageError} VALIDATION
   */
  updateMany(filter: PolicyFilter, patch: PolicyPatch): Promise<number>
  /**
   * Deletes all policies that match, in one statement. Returns the number of policies. An empty filter is refused.
   *
   * @throws {StorageError} VALIDATION
   */
  deleteMany(filter: PolicyFilter): Promise<number>
  /**
   * Counts the policies that match.
   *
   * @throws {StorageError} VALIDATION
   */
  count(filter?: PolicyFilter): Promise<number>
}
