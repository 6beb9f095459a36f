/** The rows that decide about paths, as the storage has them now: which nodes are there and up, and the policies. */
import type { Repositories } from 'meshstore'
import { type ParsePolicy, PolicyEngine, type PolicyRules, rulesOf } from './policies/index.ts'

/** The nodes that are stopped. */
export async function stoppedNodes({ nodes }: Repositories): Promise<Set<string>> {
  const stopped = new Set<string>()
  for await (const { nodeId } of nodes.iterate({ started: false })) stopped.add(nodeId)
  return stopped
}

/** The nodes among these that are not there. */
export async function missingNodes({ nodes }: Repositories, nodeIds: Iterable<string>): Promise<string[]> {
  const asked = [...new Set(nodeIds)]
  const found = new Set((await nodes.getMany(asked)).map(({ nodeId }) => nodeId))
  return asked.filter((nodeId) => !found.has(nodeId))
}

type Read = ReadonlyMap<string, { readonly updatedAt: number; readonly rules: PolicyRules }>

/** The stored policies' rules. A text is read once for each of its versions. */
export class StoredPolicies {
  readonly #parse: ParsePolicy
  #last: { readonly read: Read; readonly engine: PolicyEngine } = { read: new Map(), engine: new PolicyEngine([]) }

  constructor(parse: ParsePolicy) {
    this.#parse = parse
  }

  async asOfNow({ policies }: Repositories): Promise<PolicyEngine> {
    // Others may ask meanwhile, of another moment.
    const last = this.#last
    const read = new Map<string, { readonly updatedAt: number; readonly rules: PolicyRules }>()
    for await (const { policyId, updatedAt } of policies.iterate()) {
      const known = last.read.get(policyId)
      if (known?.updatedAt === updatedAt.getTime()) read.set(policyId, known)
      else {
        const { yamlContent = '' } = (await policies.get(policyId)) ?? {}
        read.set(policyId, { updatedAt: updatedAt.getTime(), rules: await rulesOf(yamlContent, this.#parse) })
      }
    }
    const unchanged = read.size === last.read.size && [...read].every(([id, rules]) => last.read.get(id) === rules)
    if (unchanged) return last.engine
    const engine = new PolicyEngine([...read.values()].map(({ rules }) => rules))
    this.#last = { read, engine }
    return engine
  }
}
