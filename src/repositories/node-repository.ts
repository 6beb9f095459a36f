import type { NodeFilter, NodeRepository, Page, UpdateOptions } from '../api.ts'
import {
  and,
  ascending,
  count,
  eq,
  equalsMillisecond,
  excluded,
  gt,
  lte,
  nextMillisecond,
  plus,
  valueFor,
} from '../database/queries.ts'
import type { Call, Session, Written } from '../database/session.ts'
import { given, pick, statement, statementFor } from '../database/statement.ts'
import { alreadyExists, conflict, notFound, StorageError, validationError } from '../errors.ts'
import type { MeshNode, MeshNodePatch, NewMeshNode } from '../schema/index.ts'
import * as rules from '../schema/rules.ts'
import { checked, checkedAll, validators } from './checked.ts'
import { iteratePages, PAGE_RULES } from './pages.ts'

const COLUMNS = ['nodeId', 'interfaces', 'protocols', 'started', 'routesDiscovered', 'createdAt', 'updatedAt'] as const
const PATCH_FIELDS = ['interfaces', 'protocols', 'started', 'routesDiscovered'] as const
const OPTIONAL_FIELDS = ['started', 'routesDiscovered'] as const
const FILTER_FIELDS = ['started', 'protocol', 'interface'] as const
type PatchField = (typeof PATCH_FIELDS)[number]
type FilterField = (typeof FILTER_FIELDS)[number]

const byId = statement<{ nodeId: string }>()('nodes.get', (db, { nodes }, p) =>
  db.select().from(nodes).where(eq(nodes.nodeId, p.nodeId)),
)

const byIds = statement<{ nodeIds: readonly string[] }>()('nodes.getMany', (db, { nodes }, p, fn) =>
  db.select().from(nodes).where(fn.isOneOf(nodes.nodeId, p.nodeIds)),
)

/** An existing key is no error of the database's, which would end a transaction on PostgreSQL, but no row. */
const insert = statement<MeshNode>()(
  'nodes.create',
  (db, { nodes }, p) => db.insert(nodes).values(pick(p, COLUMNS)).onConflictDoNothing(),
  'inserts one row',
)

const upsert = statementFor((fields: readonly (typeof OPTIONAL_FIELDS)[number][]) =>
  statement<MeshNode>()(
    `nodes.save:${fields.join()}`,
    (db, { nodes }, p, fn) => {
      const optional: { [F in (typeof OPTIONAL_FIELDS)[number]]?: ReturnType<typeof excluded> } = {}
      for (const field of fields) optional[field] = excluded(nodes[field])
      const set = {
        interfaces: excluded(nodes.interfaces),
        protocols: excluded(nodes.protocols),
        ...optional,
        updatedAt: fn.greatest(excluded(nodes.updatedAt), nextMillisecond(nodes.updatedAt)),
      }
      return db.insert(nodes).values(pick(p, COLUMNS)).onConflictDoUpdate({ target: nodes.nodeId, set }).returning()
    },
    'inserts one row',
  ),
)

type Update = { nodeId: string; now: Date; ifMillisecond?: number | undefined } & MeshNodePatch
const update = statementFor((fields: readonly (PatchField | 'ifMillisecond')[]) =>
  statement<Update>()(`nodes.update:${fields.join()}`, (db, { nodes }, p, fn) =>
    db
      .update(nodes)
      .set({
        ...pick(
          p,
          PATCH_FIELDS.filter((field) => fields.includes(field)),
        ),
        updatedAt: fn.greatest(valueFor(nodes.updatedAt, p.now), nextMillisecond(nodes.updatedAt)),
      })
      .where(
        and(
          eq(nodes.nodeId, p.nodeId),
          fields.includes('ifMillisecond') ? equalsMillisecond(nodes.updatedAt, p.ifMillisecond) : undefined,
        ),
      )
      .returning(),
  ),
)

/** `most` leaves room for what is added: PostgreSQL's integer would overflow, SQLite's would not. */
const addRoutes = statement<{ nodeId: string; discovered: number; most: number }>()(
  'nodes.recordRoutes',
  (db, { nodes }, p) =>
    db
      .update(nodes)
      .set({ routesDiscovered: plus(nodes.routesDiscovered, p.discovered) })
      .where(and(eq(nodes.nodeId, p.nodeId), lte(nodes.routesDiscovered, p.most)))
      .returning(),
)

const remove = statement<{ nodeId: string }>()('nodes.delete', (db, { nodes }, p) =>
  db.delete(nodes).where(eq(nodes.nodeId, p.nodeId)),
)

type Filter = NodeFilter & { after?: string | undefined }
type Condition = FilterField | 'after'
const CONDITIONS = [...FILTER_FIELDS, 'after'] as const

const list = statementFor((fields: readonly Condition[]) =>
  statement<Filter & { limit: number }>()(`nodes.list:${fields.join()}`, (db, { nodes }, p, fn) =>
    db
      .select()
      .from(nodes)
      .where(
        and(
          fields.includes('started') ? eq(nodes.started, p.started) : undefined,
          fields.includes('protocol') ? fn.contains(nodes.protocols, p.protocol) : undefined,
          fields.includes('interface') ? fn.contains(nodes.interfaces, p.interface) : undefined,
          fields.includes('after') ? gt(nodes.nodeId, p.after) : undefined,
        ),
      )
      .orderBy(ascending(nodes.nodeId))
      .limit(p.limit),
  ),
)

const countMatching = statementFor((fields: readonly FilterField[]) =>
  statement<NodeFilter>()(`nodes.count:${fields.join()}`, (db, { nodes }, p, fn) =>
    db
      .select({ count: count() })
      .from(nodes)
      .where(
        and(
          fields.includes('started') ? eq(nodes.started, p.started) : undefined,
          fields.includes('protocol') ? fn.contains(nodes.protocols, p.protocol) : undefined,
          fields.includes('interface') ? fn.contains(nodes.interfaces, p.interface) : undefined,
        ),
      ),
  ),
)

const FILTER_RULES: rules.Rules = { started: rules.isFlag, protocol: rules.isId, interface: rules.isId }
const LIST_RULES: rules.Rules = { ...FILTER_RULES, ...PAGE_RULES }
const UPDATE_RULES: rules.Rules = { ifUpdatedAt: rules.isTime }

/** A new row; without the times that belong to the store. */
function newRow(node: NewMeshNode, now: Date): MeshNode {
  const { started = false, routesDiscovered = 0, createdAt = now } = node
  return { ...node, started, routesDiscovered, createdAt, updatedAt: now }
}

/** The row that `save` adds if there is none, and the fields that it replaces if there is one. */
function saveCall(node: NewMeshNode, now: Date): Call<MeshNode, MeshNode> {
  const statement = upsert(given(node, OPTIONAL_FIELDS))
  return { statement, parameters: newRow({ ...node, createdAt: now }, now) }
}

function created(row: MeshNode | undefined, { changes }: Written<never>): MeshNode {
  if (row === undefined || changes === 0) throw alreadyExists('node', row?.nodeId ?? '')
  return row
}

function saved({ rows: [row] }: Written<MeshNode>): MeshNode {
  if (row === undefined) throw new StorageError('CONFLICT', 'A trigger in the database kept the node from being saved.')
  return row
}

export class SqlNodeRepository implements NodeRepository {
  readonly #session: Session
  readonly #now: () => Date

  constructor(session: Session, now: () => Date) {
    this.#session = session
    this.#now = now
  }

  async create(node: NewMeshNode): Promise<MeshNode> {
    const { newMeshNodeSchema } = await validators()
    const row = newRow(checked(newMeshNodeSchema, 'The node', node), this.#now())
    return created(row, await this.#session.write(insert, row))
  }

  async createMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]> {
    const { newMeshNodeSchema } = await validators()
    const now = this.#now()
    const calls = await checkedAll('The nodes', nodes, (node, path) => ({
      statement: insert,
      parameters: newRow(checked(newMeshNodeSchema, 'A node', node, path), now),
    }))
    return this.#session.writeEach(calls, (written, index) => created(calls[index]?.parameters, written))
  }

  get(nodeId: string): Promise<MeshNode | undefined> {
    try {
      rules.checkValue('nodeId', rules.isId, nodeId)
      return this.#session.readOne(byId, { nodeId })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async getMany(nodeIds: readonly string[]): Promise<MeshNode[]> {
    rules.checkIds('nodeIds', nodeIds)
    const asked = [...nodeIds]
    const found = new Map<string, MeshNode>()
    for (const node of await this.#session.read(byIds, { nodeIds: asked })) found.set(node.nodeId, node)
    return asked.flatMap((nodeId) => found.get(nodeId) ?? [])
  }

  async list(options: NodeFilter & Page = {}): Promise<MeshNode[]> {
    rules.checkOptions('The filter', LIST_RULES, options)
    return this.#page(options)
  }

  async *iterate(filter: NodeFilter = {}): AsyncGenerator<MeshNode, void, undefined> {
    rules.checkOptions('The filter', FILTER_RULES, filter)
    const fixed = { ...filter }
    yield* iteratePages(
      (position) => this.#page({ ...fixed, ...position }),
      ({ nodeId }) => nodeId,
    )
  }

  #page(options: NodeFilter & Page): Promise<MeshNode[]> {
    const { limit = rules.DEFAULT_PAGE, ...filter } = options
    return this.#session.read(list(given(filter, CONDITIONS)), { ...filter, limit })
  }

  async update(nodeId: string, patch: MeshNodePatch, options: UpdateOptions = {}): Promise<MeshNode> {
    rules.checkValue('nodeId', rules.isId, nodeId)
    rules.checkOptions('The options', UPDATE_RULES, options)
    const { meshNodePatchSchema } = await validators()
    const changes = checked(meshNodePatchSchema, 'The patch', patch)
    const ifMillisecond = options.ifUpdatedAt?.getTime()
    const parameters = { ...changes, ifMillisecond, nodeId, now: this.#now() }
    const statement = update(given(parameters, [...PATCH_FIELDS, 'ifMillisecond']))
    for (;;) {
      const [row] = (await this.#session.write(statement, parameters)).rows
      if (row !== undefined) return row
      const current = await this.#session.readOne(byId, { nodeId })
      if (current === undefined) throw notFound('node', nodeId)
      if (ifMillisecond !== undefined && current.updatedAt.getTime() !== ifMillisecond) throw conflict('node', nodeId)
      // It has come to be what was expected between the two statements: try again.
    }
  }

  async save(node: NewMeshNode): Promise<MeshNode> {
    const { newMeshNodeSchema } = await validators()
    const { statement, parameters } = saveCall(checked(newMeshNodeSchema, 'The node', node), this.#now())
    return saved(await this.#session.write(statement, parameters))
  }

  async saveMany(nodes: readonly NewMeshNode[]): Promise<MeshNode[]> {
    const { newMeshNodeSchema } = await validators()
    const now = this.#now()
    const calls = await checkedAll('The nodes', nodes, (node, path) =>
      saveCall(checked(newMeshNodeSchema, 'A node', node, path), now),
    )
    return this.#session.writeEach(calls, saved)
  }

  async recordRoutes(nodeId: string, discovered = 1): Promise<MeshNode> {
    rules.checkValue('nodeId', rules.isId, nodeId)
    rules.checkValue('discovered', rules.isInteger(0, rules.MAX_INTEGER), discovered)
    for (;;) {
      const most = rules.MAX_INTEGER - discovered
      const [row] = (await this.#session.write(addRoutes, { nodeId, discovered, most })).rows
      if (row !== undefined) return row
      const current = await this.#session.readOne(byId, { nodeId })
      if (current === undefined) throw notFound('node', nodeId)
      if (current.routesDiscovered > most) {
        throw validationError('The count', [
          { path: 'discovered', message: `must not exceed ${rules.MAX_INTEGER} in all` },
        ])
      }
    }
  }

  async delete(nodeId: string): Promise<boolean> {
    rules.checkValue('nodeId', rules.isId, nodeId)
    return (await this.#session.write(remove, { nodeId })).changes > 0
  }

  async count(filter: NodeFilter = {}): Promise<number> {
    rules.checkOptions('The filter', FILTER_RULES, filter)
    const found = await this.#session.readOne(countMatching(given(filter, FILTER_FIELDS)), { ...filter })
    return found?.count ?? 0
  }
}
