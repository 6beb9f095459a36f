/**
 * A lane is an endless program of writes on rows of its own, one after the other. Its n-th write depends on the seed,
 * the lane and n alone: the number of writes made tells what the rows must be. Many lanes run side by side.
 */
import type { NewMeshNode } from '../../src/index.ts'
import { integerFrom, randomFrom } from './random.ts'

/** The node that the transactions of all lanes count on. */
export const SHARED = 'shared'

export type Operation =
  | { readonly kind: 'create' | 'save'; readonly node: NewMeshNode }
  | { readonly kind: 'createMany' | 'saveMany'; readonly nodes: readonly NewMeshNode[] }
  | { readonly kind: 'update'; readonly nodeId: string; readonly patch: Partial<NodeState> }
  | { readonly kind: 'recordRoutes'; readonly nodeId: string; readonly discovered: number }
  | { readonly kind: 'delete'; readonly nodeId: string }
  | { readonly kind: 'policy'; readonly policyId: string; readonly yamlContent: string }
  | { readonly kind: 'path'; readonly destination: string; readonly weight: number }
  /** Everything in it, and the shared counter goes up by one. */
  | { readonly kind: 'transaction'; readonly operations: readonly Operation[] }
  /** A transaction whose callback throws when it has done everything. */
  | { readonly kind: 'rolledBack'; readonly operations: readonly Operation[] }
  /** A write that must be refused with ALREADY_EXISTS. */
  | { readonly kind: 'refused'; readonly operation: Operation }

export interface NodeState {
  readonly interfaces: string[]
  readonly protocols: string[]
  readonly started: boolean
  readonly routesDiscovered: number
}

/** A lane's rows after a number of writes. */
export class LaneState {
  readonly nodes = new Map<string, NodeState>()
  readonly policies = new Map<string, string>()
  readonly paths = new Map<string, number>()
  /** How often it counted on the shared node. */
  shared = 0

  copy(): LaneState {
    const copy = new LaneState()
    for (const [id, node] of this.nodes) copy.nodes.set(id, node)
    for (const [id, text] of this.policies) copy.policies.set(id, text)
    for (const [key, weight] of this.paths) copy.paths.set(key, weight)
    copy.shared = this.shared
    return copy
  }

  /** Equal for equal rows. */
  toString(): string {
    const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    return JSON.stringify([this.nodes, this.policies, this.paths].map(sorted))
  }

  apply(operation: Operation): void {
    switch (operation.kind) {
      case 'create':
      case 'save':
        this.#save(operation.node)
        break
      case 'createMany':
      case 'saveMany':
        for (const node of operation.nodes) this.#save(node)
        break
      case 'update':
        this.#change(operation.nodeId, operation.patch)
        break
      case 'recordRoutes': {
        const { routesDiscovered = 0 } = this.nodes.get(operation.nodeId) ?? {}
        this.#change(operation.nodeId, { routesDiscovered: routesDiscovered + operation.discovered })
        break
      }
      case 'delete':
        this.nodes.delete(operation.nodeId)
        break
      case 'policy':
        this.policies.set(operation.policyId, operation.yamlContent)
        break
      case 'path':
        this.paths.set(operation.destination, operation.weight)
        break
      case 'transaction':
        for (const each of operation.operations) this.apply(each)
        this.shared++
        break
      case 'rolledBack':
      case 'refused':
    }
  }

  #save(node: NewMeshNode): void {
    const { interfaces, protocols, started, routesDiscovered } = node
    const old = this.nodes.get(node.nodeId) ?? { started: false, routesDiscovered: 0 }
    this.nodes.set(node.nodeId, {
      interfaces,
      protocols,
      started: started ?? old.started,
      routesDiscovered: routesDiscovered ?? old.routesDiscovered,
    })
  }

  #change(nodeId: string, patch: Partial<NodeState>): void {
    const old = this.nodes.get(nodeId)
    if (old === undefined) throw new Error(`The program of the lane changes ${nodeId}, which is not there.`)
    this.nodes.set(nodeId, { ...old, ...patch })
  }
}

/** Beyond so many rows a lane deletes most of them. */
const MOST_NODES = 60

/** The write that a lane makes in this state: its number `at`. */
export function operationAt(seed: number, lane: number, at: number, state: LaneState): Operation {
  const random = randomFrom(seed, lane, at)
  const name = (suffix: string | number): string => `${lane}/${suffix}`
  const version = `v${at}`
  const node = (nodeId: string): NewMeshNode => ({ nodeId, interfaces: [version, 'eth0'], protocols: ['batman-adv'] })
  const ids = [...state.nodes.keys()]
  const existing = ids[Math.floor(random() * ids.length)]
  const fresh = name(`n${at}`)
  const several = (most: number): NewMeshNode[] =>
    Array.from({ length: integerFrom(random, 2, most) }, (_, index) => node(name(`m${at}-${index}`)))
  const policy = (): Operation => ({
    kind: 'policy',
    policyId: name(`p${integerFrom(random, 0, 2)}`),
    yamlContent: `version: ${at}\nrules: [a, b]\n`,
  })
  const path = (): Operation => ({ kind: 'path', destination: name(integerFrom(random, 0, 3)), weight: at })

  if (existing === undefined) return { kind: 'create', node: node(fresh) }
  if (ids.length > MOST_NODES) {
    return { kind: 'transaction', operations: ids.slice(3).map((nodeId) => ({ kind: 'delete', nodeId })) }
  }
  const update = (): Operation => ({
    kind: 'update',
    nodeId: existing,
    patch: { protocols: [version], started: random() < 0.5 },
  })
  const choice = random()
  if (choice < 0.2) return { kind: 'create', node: node(fresh) }
  if (choice < 0.4) return update()
  if (choice < 0.5) return { kind: 'save', node: { ...node(random() < 0.5 ? existing : fresh), started: true } }
  if (choice < 0.6) return { kind: 'recordRoutes', nodeId: existing, discovered: integerFrom(random, 1, 9) }
  if (choice < 0.7) return { kind: 'delete', nodeId: existing }
  if (choice < 0.74) return { kind: 'createMany', nodes: several(20) }
  // More than one slice: a transaction of its own.
  if (choice < 0.741)
    return { kind: 'createMany', nodes: Array.from({ length: 700 }, (_, i) => node(name(`l${at}-${i}`))) }
  if (choice < 0.76) return { kind: 'saveMany', nodes: [node(existing), ...several(6)] }
  if (choice < 0.82) return path()
  if (choice < 0.88) return policy()
  if (choice < 0.94) {
    return {
      kind: 'transaction',
      operations: [
        update(),
        { kind: 'create', node: node(fresh) },
        policy(),
        path(),
        { kind: 'delete', nodeId: existing },
      ],
    }
  }
  if (choice < 0.96) return { kind: 'rolledBack', operations: [update(), { kind: 'create', node: node(fresh) }] }
  if (choice < 0.98) return { kind: 'refused', operation: { kind: 'create', node: node(existing) } }
  return { kind: 'refused', operation: { kind: 'createMany', nodes: [node(fresh), node(existing)] } }
}
