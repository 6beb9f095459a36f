import type { PolicyFilter, PolicyPage, PolicyRepository, PolicySelection, Saved, UpdateOptions } from '../api.ts'
import type { Rows, Session, Written } from '../database/session.ts'
import { given } from '../database/statement.ts'
import { alreadyExists, conflict, dropped, explainedBy, notFound, validationError } from '../errors.ts'
import type { NewPolicy, Policy, PolicyPatch, PolicySummary } from '../schema/index.ts'
import type { CountRules, RulesIn } from '../schema/policy-text.ts'
import * as rules from '../schema/rules.ts'
import { checkedPolicies, checkedPolicy, checkedPolicyPatch, keysOf, snapshotsOf } from './checked.ts'
import { readMany } from './many.ts'
import {
  type Bounds,
  boundsOf,
  LIMIT,
  type Order,
  orderRules,
  PAGE_RULES,
  type Place,
  placeAfter,
  placeOf,
  SKIPPED,
  STORED_TIME,
} from './order.ts'
import { saveWithOutcome, updateThenInsert, wantsOutcome } from './outcome.ts'
import { type Counting, countRows, iterateRows, type Listing, readPage } from './pages.ts'
import * as statements from './policy-statements.ts'

const FILTER_RULES: rules.Rules = { prefix: rules.isId }
const SELECTION_RULES: rules.Rules = { ...FILTER_RULES, ...orderRules('policyId') }
const LIST_RULES: rules.Rules = { ...SELECTION_RULES, ...PAGE_RULES }
const UPDATE_RULES: rules.Rules = { ifUpdatedAt: rules.isTime }

function created(row: Policy, { changes, found }: Omit<Written<never, unknown>, 'rows'>): Policy {
  if (changes > 0) return row
  throw found?.length === 0 ? dropped('policy', row.policyId) : alreadyExists('policy', row.policyId)
}

const saved = ({ rows: [row] }: Pick<Written<Policy>, 'rows'>): Policy => row ?? unsaved()

function unsaved(): never {
  throw dropped('policy')
}

const rowsOf = (policyId: string): Rows => ({ table: 'policies', keys: [policyId] })

let loaded: RulesIn | undefined

/** Runs `count` with the YAML parser: synchronously if the parser is loaded, else after importing it. */
function counting<T>(count: (rulesIn: RulesIn) => T | Promise<T>): T | Promise<T> {
  if (loaded !== undefined) return count(loaded)
  const counted = import('../schema/policy-text.ts').then(({ rulesIn }) => {
    loaded = rulesIn
    return count(rulesIn)
  })
  // Mark the rejection as handled: a refused write never awaits this promise.
  counted.catch(() => {})
  return counted
}

type Listed = PolicySummary & { readonly [STORED_TIME]?: unknown }
const withoutStoredTime = ({ [STORED_TIME]: _, ...policy }: Listed): PolicySummary => policy

function listing(order: Order): Listing<Listed, PolicySummary, Place> & Counting<Place> {
  const isByTime = order.by !== order.key
  const named = (bounds: Bounds): statements.Listed => [
    ...(isByTime ? (['updatedAt'] as const) : []),
    ...(order.isDescending ? (['descending'] as const) : []),
    ...(Object.keys(bounds) as `$${string}`[]),
  ]
  return {
    isSelective: isByTime && order.prefix !== undefined,
    read: (on, { limit, ...range }) => {
      const bounds = boundsOf(order, range)
      return on.read(statements.list(named(bounds)), { ...bounds, [LIMIT]: limit } as never)
    },
    keyOf: (row) => placeOf(order, row),
    ...(isByTime && { shown: withoutStoredTime }),
    count: async (on, range) => {
      const bounds = boundsOf(order, range)
      return (await on.readOne(statements.countMatching(named(bounds)), bounds))?.count ?? 0
    },
    keyAhead: async (on, { passed, ...range }) => {
      const bounds = boundsOf(isByTime ? { ...order, prefix: undefined } : order, range)
      const row = await on.readOne(statements.keyAhead(named(bounds)), { ...bounds, [SKIPPED]: passed - 1 } as never)
      return row && placeOf(order, row)
    },
  }
}

const orderOf = ({ orderBy = 'policyId', descending = false, prefix }: PolicySelection): Order => ({
  key: 'policyId',
  by: orderBy,
  isTime: orderBy === 'updatedAt',
  isDescending: descending,
  prefix,
})

/** A filter for a write. An empty filter would mean all policies. */
function neededFilter(filter: PolicyFilter): Bounds {
  rules.checkOptions('The filter', FILTER_RULES, filter)
  if (filter.prefix !== undefined) return boundsOf(orderOf({ prefix: filter.prefix }), {})
  throw validationError('The filter', [{ path: '', message: 'must not be empty: that would mean all policies' }])
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
    const { row, rows } = this.#newRow(policy)
    const written = await this.#session.write(statements.insert, row, { rows, lookup: statements.isThere })
    return created(await row, written)
  }

  async createMany(policies: readonly NewPolicy[]): Promise<Policy[]> {
    const snapshots = snapshotsOf('The policies', policies)
    const now = this.#now()
    const calls = counting((rulesIn) =>
      checkedPolicies(snapshots, (policy, path) => ({
        statement: statements.insert,
        parameters: this.#counted(policy, now, rulesIn, `${path}.yamlContent`),
        lookup: statements.isThere,
      })),
    )
    const rows = { table: 'policies', keys: keysOf(snapshots, 'policyId') }
    const result = (written: Written<never, unknown>, { parameters }: { parameters: Policy }): Policy =>
      created(parameters, written)
    return this.#session.writeEach(calls, result, rows)
  }

  async get(policyId: string): Promise<Policy | undefined> {
    rules.checkValue('policyId', rules.isId, policyId, 'read')
    return this.#session.readOne(statements.byId, { policyId })
  }

  async getMany(policyIds: readonly string[]): Promise<Policy[]> {
    const asked = rules.checkedIds('policyIds', policyIds)
    const callOf = (some: readonly string[]) => ({ statement: statements.byIds, parameters: { policyIds: some } })
    const found = await readMany(this.#session, callOf, {
      keys: asked,
      keyOf: ({ policyId }) => policyId,
      isLarge: true,
    })
    return asked.flatMap((policyId) => found.get(policyId) ?? [])
  }

  async list(options: PolicyPage = {}): Promise<PolicySummary[]> {
    rules.checkOptions('The page', LIST_RULES, options, 'read')
    const { limit = rules.DEFAULT_PAGE, after, ...selection } = options
    const order = orderOf(selection)
    return readPage(this.#session, listing(order), { after: placeAfter(order, after), limit })
  }

  iterate(options: PolicySelection = {}): AsyncGenerator<PolicySummary, void, undefined> {
    return iterateRows(this.#session, () => {
      rules.checkOptions('The options', SELECTION_RULES, options, 'read')
      return listing(orderOf({ ...options }))
    })
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
    const written = await this.#session
      .write(statement, parameters, { rows: rowsOf(policyId), lookup: statements.byId })
      .catch(explainedBy(() => this.get(policyId)))
    const current = written.found?.[0]
    if (written.rows.length === 0 && current === undefined) throw notFound('policy', policyId)
    const hasChanged = ifMillisecond !== undefined && current?.updatedAt.getTime() !== ifMillisecond
    if (written.rows.length === 0 && hasChanged) throw conflict('policy', policyId)
    return saved(written)
  }

  save(policy: NewPolicy, options: { readonly outcome: true }): Promise<Saved<Policy>>
  save(policy: NewPolicy): Promise<Policy>
  async save(policy: NewPolicy, options: { readonly outcome?: boolean } = {}): Promise<Policy | Saved<Policy>> {
    if (wantsOutcome(options)) return this.#saveWithOutcome(policy)
    const { row, rows } = this.#newRow(policy, { createdAt: undefined })
    const writing = this.#session.write(statements.upsert, row, { rows })
    return saved(await writing.catch(explainedBy(async () => this.get((await row).policyId))))
  }

  async #saveWithOutcome(policy: NewPolicy): Promise<Saved<Policy>> {
    const { row, rows } = this.#newRow(policy, { createdAt: undefined })
    const callsOf = (complete: Policy) => {
      const { policyId, yamlContent, rulesCount, updatedAt: now } = complete
      const update = {
        statement: statements.update(['yamlContent', 'rulesCount']),
        parameters: { policyId, yamlContent, rulesCount, now },
      }
      return updateThenInsert(update, { statement: statements.insert, parameters: complete })
    }
    const calls = row instanceof Promise ? row.then(callsOf) : callsOf(row)
    if (calls instanceof Promise) calls.catch(() => {})
    const outcome = await saveWithOutcome(this.#session, calls, rows).catch(
      explainedBy(async () => this.get((await row).policyId)),
    )
    return outcome ?? unsaved()
  }

  async delete(policyId: string, options: UpdateOptions = {}): Promise<boolean> {
    rules.checkValue('policyId', rules.isId, policyId)
    rules.checkOptions('The options', UPDATE_RULES, options)
    const ifMillisecond = options.ifUpdatedAt?.getTime()
    if (ifMillisecond === undefined) return (await this.#session.write(statements.remove, { policyId })).changes > 0
    const parameters = { policyId, ifMillisecond }
    const written = await this.#session.write(statements.removeIf, parameters, { lookup: statements.byId })
    const current = written.changes > 0 ? undefined : written.found?.[0]
    if (current !== undefined && current.updatedAt.getTime() !== ifMillisecond) throw conflict('policy', policyId)
    return written.changes > 0
  }

  async updateMany(filter: PolicyFilter, patch: PolicyPatch): Promise<number> {
    const bounds = neededFilter(filter)
    const { yamlContent } = checkedPolicyPatch(patch)
    const now = this.#now()
    const changed = yamlContent === undefined ? [] : (['yamlContent', 'rulesCount'] as const)
    const statement = statements.updateMany([...changed, ...(Object.keys(bounds) as `$${string}`[])])
    const parameters = counting((rulesIn) => {
      const rulesCount = yamlContent === undefined ? undefined : rulesIn(yamlContent, 'yamlContent', this.#countRules)
      return { ...bounds, yamlContent, rulesCount, now }
    })
    return (await this.#session.write(statement, parameters, { rows: { table: 'policies', keys: 'any' } })).changes
  }

  async deleteMany(filter: PolicyFilter): Promise<number> {
    const bounds = neededFilter(filter)
    return (await this.#session.write(statements.removeMany(Object.keys(bounds) as `$${string}`[]), bounds)).changes
  }

  async count(filter: PolicyFilter = {}): Promise<number> {
    rules.checkOptions('The filter', FILTER_RULES, filter, 'read')
    return countRows(this.#session, listing(orderOf({ ...filter })))
  }

  #newRow(policy: NewPolicy, times: { createdAt?: undefined } = {}): { row: Policy | Promise<Policy>; rows: Rows } {
    const checked = { ...checkedPolicy(policy), ...times }
    const now = this.#now()
    const row = counting((rulesIn) => this.#counted(checked, now, rulesIn, 'yamlContent'))
    return { row, rows: rowsOf(checked.policyId) }
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
