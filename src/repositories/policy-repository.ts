import type { Page, PolicyRepository, UpdateOptions } from '../api.ts'
import type { Session, Written } from '../database/session.ts'
import { given } from '../database/statement.ts'
import { alreadyExists, conflict, notFound, StorageError } from '../errors.ts'
import type { NewPolicy, Policy, PolicyPatch, PolicySummary } from '../schema/index.ts'
import type { CountRules } from '../schema/policy-text.ts'
import * as rules from '../schema/rules.ts'
import { checked, checkedAll, policyText, validators } from './checked.ts'
import { iteratePages, PAGE_RULES } from './pages.ts'
import * as statements from './policy-statements.ts'

const UPDATE_RULES: rules.Rules = { ifUpdatedAt: rules.isTime }

function created(row: Policy | undefined, { changes }: Written<never>): Policy {
  if (row === undefined || changes === 0) throw alreadyExists('policy', row?.policyId ?? '')
  return row
}

export class SqlPolicyRepository implements PolicyRepository {
  readonly #session: Session
  readonly #now: () => Date
  readonly #countRules: CountRules | undefined

  constructor(session: Session, options: { now: () => Date; countRules: CountRules | undefined }) {
    this.#session = session
    this.#now = options.now
    this.#countRules = options.countRules
  }

  async create(policy: NewPolicy): Promise<Policy> {
    const toRow = await this.#rows()
    const row = toRow(policy)
    return created(row, await this.#session.write(statements.insert, row))
  }

  async createMany(policies: readonly NewPolicy[]): Promise<Policy[]> {
    const toRow = await this.#rows()
    const calls = await checkedAll('The policies', policies, (policy, path) => ({
      statement: statements.insert,
      parameters: toRow(policy, path),
    }))
    return this.#session.writeEach(calls, (written, index) => created(calls[index]?.parameters, written))
  }

  async get(policyId: string): Promise<Policy | undefined> {
    rules.checkValue('policyId', rules.isId, policyId)
    return this.#session.readOne(statements.byId, { policyId })
  }

  async list(options: Page = {}): Promise<PolicySummary[]> {
    rules.checkOptions('The page', PAGE_RULES, options)
    return this.#page(options)
  }

  iterate(): AsyncGenerator<PolicySummary, void, undefined> {
    return iteratePages(
      (position) => this.#page(position),
      ({ policyId }) => policyId,
    )
  }

  #page({ limit = rules.DEFAULT_PAGE, after }: Page): Promise<PolicySummary[]> {
    return this.#session.read(statements.list(given({ after }, ['after'])), { after, limit })
  }

  async update(policyId: string, patch: PolicyPatch, options: UpdateOptions = {}): Promise<Policy> {
    rules.checkValue('policyId', rules.isId, policyId)
    rules.checkOptions('The options', UPDATE_RULES, options)
    const { policyPatchSchema } = await validators()
    const { yamlContent } = checked(policyPatchSchema, 'The patch', patch)
    const rulesCount =
      yamlContent === undefined ? undefined : (await policyText()).rulesIn(yamlContent, 'yamlContent', this.#countRules)
    const ifMillisecond = options.ifUpdatedAt?.getTime()
    const parameters = { policyId, yamlContent, rulesCount, ifMillisecond, now: this.#now() }
    const statement = statements.update(given(parameters, statements.CHANGES))
    for (;;) {
      const [row] = (await this.#session.write(statement, parameters)).rows
      if (row !== undefined) return row
      const current = await this.#session.readOne(statements.byId, { policyId })
      if (current === undefined) throw notFound('policy', policyId)
      const asExpected = ifMillisecond === undefined || current.updatedAt.getTime() === ifMillisecond
      if (!asExpected) throw conflict('policy', policyId)
      // It has come to be what was expected between the two statements: try again.
    }
  }

  async save(policy: NewPolicy): Promise<Policy> {
    const toRow = await this.#rows()
    const { rows } = await this.#session.write(statements.upsert, toRow({ ...policy, createdAt: undefined }))
    const [row] = rows
    if (row === undefined)
      throw new StorageError('CONFLICT', 'A trigger in the database kept the policy from being saved.')
    return row
  }

  async delete(policyId: string): Promise<boolean> {
    rules.checkValue('policyId', rules.isId, policyId)
    return (await this.#session.write(statements.remove, { policyId })).changes > 0
  }

  async count(): Promise<number> {
    const found = await this.#session.readOne(statements.countAll, {})
    return found?.count ?? 0
  }

  /** Makes rows of what callers give: checked, and with the rules counted. */
  async #rows(): Promise<(policy: unknown, path?: string) => Policy> {
    const [{ newPolicySchema }, { rulesIn }] = await Promise.all([validators(), policyText()])
    const now = this.#now()
    return (policy, path = '') => {
      const { policyId, yamlContent, createdAt = now } = checked(newPolicySchema, 'The policy', policy, path)
      const rulesCount = rulesIn(yamlContent, path === '' ? 'yamlContent' : `${path}.yamlContent`, this.#countRules)
      return { policyId, yamlContent, rulesCount, createdAt, updatedAt: now }
    }
  }
}
