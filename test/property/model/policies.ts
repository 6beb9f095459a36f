import type {
  NewPolicy,
  Policy,
  PolicyFilter,
  PolicyPage,
  PolicyPatch,
  PolicyRepository,
  PolicySelection,
} from '../../../src/index.ts'
import { later, page, Rows, refuse } from './state.ts'

/** The texts that the model knows, with the number of their rules; `undefined` for texts that are no YAML. */
export const TEXTS = new Map<string, number | undefined>([
  ['', 0],
  ['rules: []\n', 0],
  ['rules: [a]\r\n', 1],
  ['rules:\n  - a\n  - b\n---\nspec: { ingress: [c] }\n', 3],
  ['spec: { rules: [a], egress: [b, c, d] } # \u{1f600}\n', 4],
  ['rules: [a', undefined],
  ['a: 1\na: 2\n', undefined],
])

const rulesIn = (text: string): number => TEXTS.get(text) ?? refuse('VALIDATION')

export class ModelPolicies implements PolicyRepository {
  readonly rows: Rows<Policy>
  readonly #now: () => Date

  constructor(now: () => Date, changed?: ConstructorParameters<typeof Rows<Policy>>[0]) {
    this.#now = now
    this.rows = new Rows<Policy>(changed)
  }

  #create({ policyId, yamlContent, createdAt = this.#now() }: NewPolicy): Policy {
    const rulesCount = rulesIn(yamlContent)
    if (this.rows.get(policyId) !== undefined) refuse('ALREADY_EXISTS')
    return this.rows.set(policyId, { policyId, yamlContent, rulesCount, createdAt, updatedAt: this.#now() })
  }

  async create(policy: NewPolicy) {
    return this.#create(policy)
  }

  async createMany(policies: readonly NewPolicy[]) {
    // Texts are checked before anything is looked up.
    for (const { yamlContent } of policies) rulesIn(yamlContent)
    return this.rows.atomically(() => policies.map((policy) => this.#create(policy)))
  }

  async get(policyId: string) {
    return this.rows.get(policyId)
  }

  #matching({ prefix = '' }: PolicyFilter): Policy[] {
    return this.rows.all().filter(({ policyId }) => policyId.startsWith(prefix))
  }

  #summaries(filter: PolicyFilter) {
    return this.#matching(filter).map(({ yamlContent: _, ...summary }) => summary)
  }

  async list(options: PolicyPage = {}) {
    return page(this.#summaries(options), 'policyId', options)
  }

  async *iterate(options: PolicySelection = {}) {
    yield* page(this.#summaries(options), 'policyId', { ...options, limit: Number.POSITIVE_INFINITY })
  }

  async update(policyId: string, { yamlContent }: PolicyPatch, options: { ifUpdatedAt?: Date | undefined } = {}) {
    const rulesCount = yamlContent === undefined ? undefined : rulesIn(yamlContent)
    const old = this.rows.get(policyId) ?? refuse('NOT_FOUND')
    const { ifUpdatedAt } = options
    if (ifUpdatedAt !== undefined && ifUpdatedAt.getTime() !== old.updatedAt.getTime()) refuse('CONFLICT')
    return this.rows.set(policyId, {
      ...old,
      yamlContent: yamlContent ?? old.yamlContent,
      rulesCount: rulesCount ?? old.rulesCount,
      updatedAt: later(old.updatedAt, this.#now()),
    })
  }

  save = (async (policy: NewPolicy, { outcome = false } = {}) => {
    const created = this.rows.get(policy.policyId) === undefined
    const row = this.#save(policy)
    return outcome ? { row, created } : row
  }) as PolicyRepository['save']

  #save({ policyId, yamlContent }: NewPolicy): Policy {
    const rulesCount = rulesIn(yamlContent)
    const old = this.rows.get(policyId)
    if (old === undefined) return this.#create({ policyId, yamlContent })
    return this.rows.set(policyId, { ...old, yamlContent, rulesCount, updatedAt: later(old.updatedAt, this.#now()) })
  }

  async delete(policyId: string, { ifUpdatedAt }: { ifUpdatedAt?: Date | undefined } = {}) {
    const old = this.rows.get(policyId)
    if (old !== undefined && ifUpdatedAt !== undefined && ifUpdatedAt.getTime() !== old.updatedAt.getTime())
      refuse('CONFLICT')
    return this.rows.delete(policyId)
  }

  async getMany(policyIds: readonly string[]) {
    return policyIds.flatMap((policyId) => this.rows.get(policyId) ?? [])
  }

  #needed(filter: PolicyFilter): Policy[] {
    if (filter.prefix === undefined) refuse('VALIDATION')
    return this.#matching(filter)
  }

  async updateMany(filter: PolicyFilter, patch: PolicyPatch) {
    if (filter.prefix === undefined) refuse('VALIDATION')
    if (patch.yamlContent !== undefined) rulesIn(patch.yamlContent)
    const all = this.#needed(filter)
    for (const { policyId } of all) await this.update(policyId, patch)
    return all.length
  }

  async deleteMany(filter: PolicyFilter) {
    const all = this.#needed(filter)
    for (const { policyId } of all) this.rows.delete(policyId)
    return all.length
  }

  async count(filter: PolicyFilter = {}) {
    return this.#matching(filter).length
  }
}
