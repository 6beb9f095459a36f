import type { NodeFilter, NodePage, NodeRepository, NodeSelection, Saved, UpdateOptions } from '../api.ts'
import type { Call, Session, Written } from '../database/session.ts'
import { given } from '../database/statement.ts'
import { alreadyExists, conflict, dropped, explainedBy, notFound, validationError } from '../errors.ts'
import type { MeshNode, MeshNodePatch, NewMeshNode } from '../schema/index.ts'
import * as rules from '../schema/rules.ts'
import { checkedNode, checkedNodePatch, checkedNodes } from './checked.ts'
import { readMany } from './many.ts'
import * as statements from './node-statements.ts'
import {
  type Bounds,
  boundsOf,
  keyOrder,
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

const FILTER_RULES: rules.Rules = {
  started: rules.isFlag,
  protocol: rules.isId,
  interface: rules.isId,
  prefix: rules.isId,
}
const SELECTION_RULES: rules.Rules = { ...FILTER_RULES, ...orderRules('nodeId') }
const LIST_RULES: rules.Rules = { ...SELECTION_RULES, ...PAGE_RULES }
const UPDATE_RULES: rules.Rules = { ifUpdatedAt: rules.isTime }

/** A new row without the times that the store sets. */
function newRow(node: NewMeshNode, now: Date): MeshNode {
  const { started = false, routesDiscovered = 0, createdAt = now } = node
  return { ...node, started, routesDiscovered, createdAt, updatedAt: now }
}

/** Upsert: the row that `save` inserts, and the fields that it replaces in an existing row. */
function saveCall(node: NewMeshNode, now: Date): Call<MeshNode, MeshNode> {
  const statement = statements.upsert(given(node, statements.OPTIONAL_FIELDS))
  return { statement, parameters: newRow({ ...node, createdAt: now }, now) }
}

function created(row: MeshNode, { changes, found }: Omit<Written<never, unknown>, 'rows'>): MeshNode {
  if (changes > 0) return row
  throw found?.length === 0 ? dropped('node', row.nodeId) : alreadyExists('node', row.nodeId)
}

const saved = ({ rows: [row] }: Pick<Written<MeshNode>, 'rows'>): MeshNode => row ?? unsaved()

function unsaved(): never {
  throw dropped('node')
}

/** An index leads to the nodes that are started, in the order of the ids; other filters are looked for row by row. */
function listing({ filter, order }: Selected): Listing<Listed, MeshNode, Place> & Counting<Place> {
  const isByTime = order.by !== order.key
  const ordered = [
    ...(isByTime ? (['updatedAt'] as const) : []),
    ...(order.isDescending ? (['descending'] as const) : []),
  ]
  const named = (names: readonly (keyof NodeFilter)[], bounds: Bounds) =>
    [...given(filter, names), ...ordered, ...Object.keys(bounds)] as Parameters<typeof statements.list>[0]
  const parameters = (bounds: Bounds, more: object) => ({ ...filter, ...bounds, ...more }) as never
  return {
    isSelective:
      filter.protocol !== undefined ||
      filter.interface !== undefined ||
      (isByTime && (filter.started !== undefined || order.prefix !== undefined)),
    read: (on, { limit, ...range }) => {
      const bounds = boundsOf(order, range)
      return on.read(statements.list(named(statements.FILTER_FIELDS, bounds)), parameters(bounds, { [LIMIT]: limit }))
    },
    keyOf: (row) => placeOf(order, row),
    ...(isByTime && { shown: withoutStoredTime }),
    count: async (on, range) => {
      const bounds = boundsOf(order, range)
      const counted = statements.countMatching(named(statements.FILTER_FIELDS, bounds))
      return (await on.readOne(counted, parameters(bounds, {})))?.count ?? 0
    },
    keyAhead: async (on, { passed, ...range }) => {
      const bounds = boundsOf(isByTime ? { ...order, prefix: undefined } : order, range)
      const ahead = statements.keyAhead(named(isByTime ? [] : statements.AHEAD, bounds))
      const row = await on.readOne(ahead, parameters(bounds, { [SKIPPED]: passed - 1 }))
      return row && placeOf(order, row)
    },
  }
}

type Listed = MeshNode & { readonly [STORED_TIME]?: unknown }
const withoutStoredTime = ({ [STORED_TIME]: _, ...node }: Listed): MeshNode => node

interface Selected {
  readonly filter: NodeFilter
  readonly order: Order
}

function selected({ orderBy = 'nodeId', descending = false, prefix, ...filter }: NodeSelection): Selected {
  const order = { key: 'nodeId', by: orderBy, isTime: orderBy === 'updatedAt', isDescending: descending, prefix }
  return { filter, order }
}

/** A filter for a write. An empty filter would mean all nodes. */
function neededFilter(filter: NodeFilter) {
  rules.checkOptions('The filter', FILTER_RULES, filter)
  const { started: ifStarted, protocol, interface: name, prefix } = filter
  const bounds = boundsOf({ ...keyOrder('nodeId'), prefix }, {})
  const where = { ifStarted, protocol, interface: name, ...bounds }
  const names = [...given(where, statements.MANY), ...(Object.keys(bounds) as `$${string}`[])]
  if (names.length > 0) return { where, names }
  throw validationError('The filter', [{ path: '', message: 'must not be empty: that would mean all nodes' }])
}

export class SqlNodeRepository implements NodeRepository {
  readonly #session: Session
  readonly #now: () => Date

  constructor(session: Session, now: () => Date) {
    this.#session = session
    this.#now = now
  }

  async create(node: NewMeshNode): Promise<MeshNode> {
    const row = newRow(checkedNode(node), this.#now())
    const written = await this.#session.write(statements.insert, row, { lookup: statements.isThere })
    return created(row, written)
  }

  async createMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]> {
    const now = this.#now()
    const { calls, keys } = checkedNodes(nodes, (node) => ({
      statement: statements.insert,
      parameters: newRow(node, now),
      lookup: statements.isThere,
    }))
    const result = (written: Written<never, unknown>, { parameters }: { parameters: MeshNode }): MeshNode =>
      created(parameters, written)
    return this.#session.writeEach(calls, result, { table: 'nodes', keys })
  }

  get(nodeId: string): Promise<MeshNode | undefined> {
    try {
      rules.checkValue('nodeId', rules.isId, nodeId, 'read')
      return this.#session.readOne(statements.byId, { nodeId })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async getMany(nodeIds: readonly string[]): Promise<MeshNode[]> {
    const asked = rules.checkedIds('nodeIds', nodeIds)
    const callOf = (some: readonly string[]) => ({ statement: statements.byIds, parameters: { nodeIds: some } })
    const found = await readMany(this.#session, callOf, { keys: asked, keyOf: ({ nodeId }) => nodeId })
    return asked.flatMap((nodeId) => found.get(nodeId) ?? [])
  }

  async list(options: NodeSelection & NodePage = {}): Promise<MeshNode[]> {
    rules.checkOptions('The filter', LIST_RULES, options, 'read')
    const { limit = rules.DEFAULT_PAGE, after, ...selection } = options
    const { filter, order } = selected(selection)
    return readPage(this.#session, listing({ filter, order }), { after: placeAfter(order, after), limit })
  }

  iterate(options: NodeSelection = {}): AsyncGenerator<MeshNode, void, undefined> {
    return iterateRows(this.#session, () => {
      rules.checkOptions('The filter', SELECTION_RULES, options, 'read')
      return listing(selected({ ...options }))
    })
  }

  async update(nodeId: string, patch: MeshNodePatch, options: UpdateOptions = {}): Promise<MeshNode> {
    rules.checkValue('nodeId', rules.isId, nodeId)
    rules.checkOptions('The options', UPDATE_RULES, options)
    const changes = checkedNodePatch(patch)
    const ifMillisecond = options.ifUpdatedAt?.getTime()
    const parameters = { ...changes, ifMillisecond, nodeId, now: this.#now() }
    const statement = statements.update(given(parameters, [...statements.PATCH_FIELDS, 'ifMillisecond']))
    const written = await this.#session
      .write(statement, parameters, { lookup: statements.byId })
      .catch(explainedBy(() => this.get(nodeId)))
    const current = written.found?.[0]
    if (written.rows.length === 0 && current === undefined) throw notFound('node', nodeId)
    const hasChanged = ifMillisecond !== undefined && current?.updatedAt.getTime() !== ifMillisecond
    if (written.rows.length === 0 && hasChanged) throw conflict('node', nodeId)
    return saved(written)
  }

  save(node: NewMeshNode, options: { readonly outcome: true }): Promise<Saved<MeshNode>>
  save(node: NewMeshNode): Promise<MeshNode>
  async save(node: NewMeshNode, options: { readonly outcome?: boolean } = {}): Promise<MeshNode | Saved<MeshNode>> {
    if (wantsOutcome(options)) return this.#saveWithOutcome(checkedNode(node))
    const { statement, parameters } = saveCall(checkedNode(node), this.#now())
    return saved(await this.#session.write(statement, parameters).catch(explainedBy(() => this.get(parameters.nodeId))))
  }

  async #saveWithOutcome(node: NewMeshNode): Promise<Saved<MeshNode>> {
    const now = this.#now()
    const { nodeId, createdAt: _, updatedAt: __, ...patch } = node
    const update = {
      statement: statements.update(given(patch, statements.PATCH_FIELDS)),
      parameters: { ...patch, nodeId, now },
    }
    const insert = { statement: statements.insert, parameters: newRow({ ...node, createdAt: now }, now) }
    const rows = { table: 'nodes', keys: [nodeId] }
    const outcome = await saveWithOutcome(this.#session, updateThenInsert(update, insert), rows).catch(
      explainedBy(() => this.get(nodeId)),
    )
    return outcome ?? unsaved()
  }

  async saveMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]> {
    const now = this.#now()
    const { calls, keys } = checkedNodes(nodes, (node) => saveCall(node, now))
    return this.#session.writeEach(calls, saved, { table: 'nodes', keys })
  }

  async recordRoutes(nodeId: string, discovered = 1): Promise<MeshNode> {
    rules.checkValue('nodeId', rules.isId, nodeId)
    rules.checkValue('discovered', rules.isInteger(0, rules.MAX_INTEGER), discovered)
    const most = rules.MAX_INTEGER - discovered
    const written = await this.#session
      .write(statements.addRoutes, { nodeId, discovered, most }, { lookup: statements.byId })
      .catch(explainedBy(() => this.get(nodeId)))
    const current = written.found?.[0]
    if (written.rows.length === 0 && current === undefined) throw notFound('node', nodeId)
    if (current !== undefined && current.routesDiscovered > most) {
      throw validationError('The count', [
        { path: 'discovered', message: `must not exceed ${rules.MAX_INTEGER} in all` },
      ])
    }
    return saved(written)
  }

  async delete(nodeId: string, options: UpdateOptions = {}): Promise<boolean> {
    rules.checkValue('nodeId', rules.isId, nodeId)
    rules.checkOptions('The options', UPDATE_RULES, options)
    const ifMillisecond = options.ifUpdatedAt?.getTime()
    if (ifMillisecond === undefined) return (await this.#session.write(statements.remove, { nodeId })).changes > 0
    const parameters = { nodeId, ifMillisecond }
    const written = await this.#session.write(statements.removeIf, parameters, { lookup: statements.byId })
    const current = written.changes > 0 ? undefined : written.found?.[0]
    if (current !== undefined && current.updatedAt.getTime() !== ifMillisecond) throw conflict('node', nodeId)
    return written.changes > 0
  }

  async updateMany(filter: NodeFilter, patch: MeshNodePatch): Promise<number> {
    const { where, names } = neededFilter(filter)
    const parameters = { ...checkedNodePatch(patch), ...where, now: this.#now() }
    const statement = statements.updateMany([...given(parameters, statements.PATCH_FIELDS), ...names])
    return (await this.#session.write(statement, parameters)).changes
  }

  async deleteMany(filter: NodeFilter): Promise<number> {
    const { where, names } = neededFilter(filter)
    return (await this.#session.write(statements.removeMany(names), where)).changes
  }

  async count(filter: NodeFilter = {}): Promise<number> {
    rules.checkOptions('The filter', FILTER_RULES, filter, 'read')
    return countRows(this.#session, listing(selected({ ...filter })))
  }
}
