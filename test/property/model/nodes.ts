import type {
  MeshNode,
  MeshNodePatch,
  NewMeshNode,
  NodeFilter,
  NodePage,
  NodeRepository,
  NodeSelection,
} from '../../../src/index.ts'
import { later, page, Rows, refuse } from './state.ts'

/** The nodes as a `Map`: what the contract says, in as few words as possible. */
export class ModelNodes implements NodeRepository {
  readonly rows: Rows<MeshNode>
  readonly #now: () => Date

  constructor(now: () => Date, changed?: ConstructorParameters<typeof Rows<MeshNode>>[0]) {
    this.#now = now
    this.rows = new Rows<MeshNode>(changed)
  }

  #create(node: NewMeshNode): MeshNode {
    if (this.rows.get(node.nodeId) !== undefined) refuse('ALREADY_EXISTS')
    const { started = false, routesDiscovered = 0, createdAt = this.#now() } = node
    return this.rows.set(node.nodeId, { ...node, started, routesDiscovered, createdAt, updatedAt: this.#now() })
  }

  #save(node: NewMeshNode): MeshNode {
    const old = this.rows.get(node.nodeId)
    if (old === undefined) return this.#create({ ...node, createdAt: undefined })
    const { interfaces, protocols, started = old.started, routesDiscovered = old.routesDiscovered } = node
    const updatedAt = later(old.updatedAt, this.#now())
    return this.rows.set(node.nodeId, { ...old, interfaces, protocols, started, routesDiscovered, updatedAt })
  }

  #matching({ started, protocol, interface: name, prefix = '' }: NodeFilter): MeshNode[] {
    return this.rows
      .all()
      .filter((row) => row.nodeId.startsWith(prefix))
      .filter((row) => started === undefined || row.started === started)
      .filter((row) => protocol === undefined || row.protocols.includes(protocol))
      .filter((row) => name === undefined || row.interfaces.includes(name))
  }

  async create(node: NewMeshNode) {
    return this.#create(node)
  }

  async createMany(nodes: readonly NewMeshNode[]) {
    return this.rows.atomically(() => nodes.map((node) => this.#create(node)))
  }

  async get(nodeId: string) {
    return this.rows.get(nodeId)
  }

  async getMany(nodeIds: readonly string[]) {
    return nodeIds.flatMap((nodeId) => this.rows.get(nodeId) ?? [])
  }

  async list(options: NodePage = {}) {
    return page(this.#matching(options), 'nodeId', options)
  }

  async *iterate(options: NodeSelection = {}) {
    yield* page(this.#matching(options), 'nodeId', { ...options, limit: Number.POSITIVE_INFINITY })
  }

  async update(nodeId: string, patch: MeshNodePatch, options: { ifUpdatedAt?: Date | undefined } = {}) {
    const old = this.rows.get(nodeId) ?? refuse('NOT_FOUND')
    const { ifUpdatedAt } = options
    if (ifUpdatedAt !== undefined && ifUpdatedAt.getTime() !== old.updatedAt.getTime()) refuse('CONFLICT')
    const { interfaces, protocols, started, routesDiscovered } = patch
    return this.rows.set(nodeId, {
      ...old,
      interfaces: interfaces ?? old.interfaces,
      protocols: protocols ?? old.protocols,
      started: started ?? old.started,
      routesDiscovered: routesDiscovered ?? old.routesDiscovered,
      updatedAt: later(old.updatedAt, this.#now()),
    })
  }

  save = (async (node: NewMeshNode, { outcome = false } = {}) => {
    const created = this.rows.get(node.nodeId) === undefined
    const row = this.#save(node)
    return outcome ? { row, created } : row
  }) as NodeRepository['save']

  async saveMany(nodes: readonly NewMeshNode[]) {
    return nodes.map((node) => this.#save(node))
  }

  async recordRoutes(nodeId: string, discovered = 1) {
    const old = this.rows.get(nodeId) ?? refuse('NOT_FOUND')
    const routesDiscovered = old.routesDiscovered + discovered
    if (routesDiscovered > 2_147_483_647) refuse('VALIDATION')
    return this.rows.set(nodeId, { ...old, routesDiscovered })
  }

  async delete(nodeId: string, { ifUpdatedAt }: { ifUpdatedAt?: Date | undefined } = {}) {
    const old = this.rows.get(nodeId)
    if (old !== undefined && ifUpdatedAt !== undefined && ifUpdatedAt.getTime() !== old.updatedAt.getTime())
      refuse('CONFLICT')
    return this.rows.delete(nodeId)
  }

  #needed(filter: NodeFilter): MeshNode[] {
    if (Object.values(filter).every((value) => value === undefined)) refuse('VALIDATION')
    return this.#matching(filter)
  }

  async updateMany(filter: NodeFilter, patch: MeshNodePatch) {
    const all = this.#needed(filter)
    for (const { nodeId } of all) await this.update(nodeId, patch)
    return all.length
  }

  async deleteMany(filter: NodeFilter) {
    const all = this.#needed(filter)
    for (const { nodeId } of all) this.rows.delete(nodeId)
    return all.length
  }

  async count(filter: NodeFilter = {}) {
    return this.#matching(filter).length
  }
}
