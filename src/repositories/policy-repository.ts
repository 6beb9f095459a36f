import type { Page, PolicyRepository, UpdateOptions } from '../api.ts'
import type { Session, Written } from '../database/session.ts'
import { given } from '../database/statement.ts'
import { alreadyExists, conflict, explainedBy, notFound, StorageError } from '../errors.ts'
import type { NewPolicy, Policy, PolicyPatch, PolicySummary } from '../schema/index.ts'
import type { CountRules, RulesIn } from '../schema/policy-text.ts'
import * as rules from '../schema/rules.ts'
import { checkedPolicies, checkedPolicy, checkedPolicyPatch, snapshotsOf } from './checked.ts'
import { ATTEMPTS, iteratePages, PAGE_RULES } from './pages.ts'
import * as statements from './policy-statements.ts'

const UPDATE_RULES: rules.Rules = { ifUpdatedAt: rules.isTime }

function created(row: Policy | undefined, { changes }: Written<never>): Policy {
  if (row === undefined || changes === 0) throw alreadyExists('policy', row?.policyId ?? '')
  return row
}

let loaded: RulesIn | undefined

/** Runs `count` with the YAML parser: at once if it is loaded, which is done when it is first needed. */
function counting<T>(count: (rulesIn: RulesIn) => T | Promise<T>): T | Promise<T> {
  if (loaded !== undefined) return count(loaded)
  const counted = import('../schema/policy-text.ts').then(({ rulesIn }) => {
    loaded = rulesIn
    return count(rulesIn)
  })
  // Where the write itself is refused, nobody asks how this went.
  counted.catch(() => {})
  return counted
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
    const row = this.#newRow(policy)
    const written = await this.#session.write(statements.insert, row)
    if (written.changes === 0) await this.#note(await row)
    return created(await row, written)
  }

  /** A transaction depends on a row that was in its way. PostgreSQL notes what is read, and ON CONFLICT reads nothing. */
  async #note({ policyId }: Policy): Promise<void> {
    if (this.#session.inTransaction) await this.#session.readOne(statements.keyById, { policyId })
  }

  async createMany(policies: readonly NewPolicy[]): Promise<Policy[]> {
    const snapshots = snapshotsOf('The policies', policies)
    const now = this.#now()
    const calls = counting((rulesIn) =>
      checkedPolicies(snapshots, (policy, path) => ({
        statement: statements.insert,
        parameters: this.#counted(policy, now, rulesIn, `${path}.yamlContent`),
      })),
    )
    let existing: Policy | undefined
    const writing = this.#session.writeEach(calls, (written, { parameters }) => {
      if (written.changes === 0) existing = parameters
      return created(parameters, written)
    })
    return writing.catch(async (error) => {
      if (existing !== undefined) await this.#note(existing)
      throw error
    })
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
    const { yamlContent } = checkedPolicyPatch(patch)
    const ifMillisecond = options.ifUpdatedAt?.getTime()
    const now = this.#now()
    const statement = statements.update(
      given({ yamlContent, rulesCount: yamlContent, ifMillisecond }, statements.CHANGES),
    )
    const parameters = counting((rulesIn) => {
      const rulesCount = yamlContent === undefined ? undefined : rulesIn(yamlContent, 'yamlContent', this.#countRules)
      return { policyId, yamlContent, rulesCount, ifMillisecond, now }
    })
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const { rows } = await this.#session.write(statement, parameters).catch(explainedBy(() => this.get(policyId)))
      const [row] = rows
      if (row !== undefined) return row
      const current = await this.#session.readOne(statements.byId, { policyId })
      if (current === undefined) throw notFound('policy', policyId)
      const asExpected = ifMillisecond === undefined || current.updatedAt.getTime() === ifMillisecond
      if (!asExpected) throw conflict('policy', policyId)
      // It has come to be what was expected between the two statements: try again.
    }
    throw conflict('policy', policyId)
  }

  async save(policy: NewPolicy): Promise<Policy> {
    const parameters = this.#newRow(policy, { createdAt: undefined })
    const writing = this.#session.write(statements.upsert, parameters)
    const { rows } = await writing.catch(explainedBy(async () => this.get((await parameters).policyId)))
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

  #newRow(policy: NewPolicy, times: { createdAt?: undefined } = {}): Policy | Promise<Policy> {
    const checked = { ...checkedPolicy(policy), ...times }
    const now = this.#now()
    return counting((rulesIn) => this.#counted(checked, now, rulesIn, 'yamlContent'))
  }

  #counted(policy: NewPolicy, now: Date, rulesIn: RulesIn, path: string): Policy {
    const { policyId, yamlContent, createdAt = now } = policy
    return {
      policyId,
      yamlContent,
      rulesCount: rulesIn(yamlContent, path, this.#countRules),
      createdAt,
      updatedAt: now,
    }
  }
}
