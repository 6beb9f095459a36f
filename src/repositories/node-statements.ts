import type { NodeFilter } from '../api.ts'
import {
  type Arguments,
  and,
  ascending,
  count,
  descending,
  eq,
  equalsMillisecond,
  excluded,
  type Functions,
  lte,
  nextMillisecond,
  plus,
  type Select,
  type SQL,
  type Tables,
  undecoded,
  valueFor,
} from '../database/queries.ts'
import { pick, statement, statementFor } from '../database/statement.ts'
import type { MeshNode, MeshNodePatch } from '../schema/index.ts'
import { columnsOf, LIMIT, SKIPPED, STORED_TIME, within } from './order.ts'

const COLUMNS = ['nodeId', 'interfaces', 'protocols', 'started', 'routesDiscovered', 'createdAt', 'updatedAt'] as const
export const PATCH_FIELDS = ['interfaces', 'protocols', 'started', 'routesDiscovered'] as const
export const OPTIONAL_FIELDS = ['started', 'routesDiscovered'] as const
export const FILTER_FIELDS = ['started', 'protocol', 'interface'] as const
type PatchField = (typeof PATCH_FIELDS)[number]
type FilterField = (typeof FILTER_FIELDS)[number]

export const byId = statement<{ nodeId: string }>()(
  'nodes.get',
  (db, { nodes }, p) => db.select().from(nodes).where(eq(nodes.nodeId, p.nodeId)),
  'reads one row',
)

export const byIds = statement<{ nodeIds: readonly string[] }>()('nodes.getMany', (db, { nodes }, p, fn) =>
  db.select().from(nodes).where(fn.isOneOf(nodes.nodeId, p.nodeIds)),
)

/** Tells a key that is there from a row that a trigger has dropped. Reads no value that could be damaged. */
export const isThere = statement<{ nodeId: string }>()('nodes.isThere', (db, { nodes }, p) =>
  db.select({ nodeId: nodes.nodeId }).from(nodes).where(eq(nodes.nodeId, p.nodeId)),
)

/** An existing key changes no row. A unique violation would end a transaction on PostgreSQL. */
export const insert = statement<MeshNode>()(
  'nodes.create',
  (db, { nodes }, p) => db.insert(nodes).values(pick(p, COLUMNS)).onConflictDoNothing({ target: nodes.nodeId }),
  'inserts one row',
)

export const upsert = statementFor((fields: readonly (typeof OPTIONAL_FIELDS)[number][]) =>
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
export const update = statementFor((fields: readonly (PatchField | 'ifMillisecond')[]) =>
  statement<Update>()(
    `nodes.update:${fields.join()}`,
    (db, { nodes }, p, fn) =>
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
    'changes one row',
  ),
)

/** `most` keeps the sum within PostgreSQL's integer; SQLite's would not overflow. */
export const addRoutes = statement<{ nodeId: string; discovered: number; most: number }>()(
  'nodes.recordRoutes',
  (db, { nodes }, p) =>
    db
      .update(nodes)
      .set({ routesDiscovered: plus(nodes.routesDiscovered, p.discovered) })
      .where(and(eq(nodes.nodeId, p.nodeId), lte(nodes.routesDiscovered, p.most)))
      .returning(),
  'changes one row',
)

export const remove = statement<{ nodeId: string }>()(
  'nodes.delete',
  (db, { nodes }, p) => db.delete(nodes).where(eq(nodes.nodeId, p.nodeId)),
  'changes one row',
)

export const removeIf = statement<{ nodeId: string; ifMillisecond: number }>()(
  'nodes.delete:ifMillisecond',
  (db, { nodes }, p) =>
    db.delete(nodes).where(and(eq(nodes.nodeId, p.nodeId), equalsMillisecond(nodes.updatedAt, p.ifMillisecond))),
  'changes one row',
)

/** The patch may set what the filter asks for: its `started` has another name. */
type Many = { ifStarted?: boolean | undefined } & Pick<NodeFilter, 'protocol' | 'interface'>
export const MANY = ['ifStarted', 'protocol', 'interface'] as const
type OfMany = readonly (PatchField | (typeof MANY)[number] | `$${string}`)[]

function ofMany(tables: Tables, fields: OfMany, p: Arguments<Many>, fn: Functions): SQL | undefined {
  const { nodes } = tables
  return and(
    fields.includes('ifStarted') ? eq(nodes.started, p.ifStarted) : undefined,
    fields.includes('protocol') ? fn.contains(nodes.protocols, p.protocol) : undefined,
    fields.includes('interface') ? fn.contains(nodes.interfaces, p.interface) : undefined,
    ...within(orderedBy(tables, [], fn), fields, p as never),
  )
}

export const updateMany = statementFor((fields: OfMany) =>
  statement<Many & MeshNodePatch & { now: Date }>()(
    `nodes.updateMany:${fields.join()}`,
    (db, tables, p, fn) => {
      const { nodes } = tables
      return db
        .update(nodes)
        .set({
          ...pick(
            p,
            PATCH_FIELDS.filter((field) => fields.includes(field)),
          ),
          updatedAt: fn.nowOrAfter(valueFor(nodes.updatedAt, p.now), nodes.updatedAt),
        })
        .where(ofMany(tables, fields, p, fn))
    },
    'changes many rows',
  ),
)

export const removeMany = statementFor((fields: OfMany) =>
  statement<Many>()(
    `nodes.deleteMany:${fields.join()}`,
    (db, tables, p, fn) => db.delete(tables.nodes).where(ofMany(tables, fields, p, fn)),
    'changes many rows',
  ),
)

/** The property that a list is ordered by. */
export type NodeOrder = 'nodeId' | 'updatedAt'
type Listed = readonly (FilterField | NodeOrder | 'descending' | `$${string}`)[]
type Parameters = NodeFilter & Readonly<Record<typeof LIMIT | typeof SKIPPED, number>>

const orderedBy = ({ nodes }: Tables, fields: Listed, fn: Functions) => ({
  table: nodes,
  key: nodes.nodeId,
  by: fields.includes('updatedAt') ? nodes.updatedAt : nodes.nodeId,
  isDescending: fields.includes('descending'),
  fn,
})

/** An index of `started` is in the order of the ids. */
function matching(tables: Tables, fields: Listed, p: Arguments<Parameters>, fn: Functions): SQL | undefined {
  const { nodes } = tables
  const order = orderedBy(tables, fields, fn)
  const isStarted = fields.includes('started') ? eq(nodes.started, p.started) : undefined
  return and(
    isStarted && order.by !== order.key ? fn.unindexed(isStarted) : isStarted,
    fields.includes('protocol') ? fn.contains(nodes.protocols, p.protocol) : undefined,
    fields.includes('interface') ? fn.contains(nodes.interfaces, p.interface) : undefined,
    ...within(order, fields, p as never),
  )
}

/** `fields`: the filter's, `updatedAt` and `descending` for the order, and the names of the bounds. */
export const list = statementFor((fields: Listed) =>
  statement<Parameters>()(`nodes.list:${fields.join()}`, (db, tables, p, fn) => {
    const { nodes } = tables
    const order = orderedBy(tables, fields, fn)
    const inOrder = order.isDescending ? descending : ascending
    const isByTime = order.by !== order.key
    const rows = isByTime
      ? db.select({ ...pick(nodes, COLUMNS), [STORED_TIME]: undecoded(nodes.updatedAt) }).from(nodes)
      : db.select().from(nodes)
    return (rows as Select<MeshNode>)
      .where(matching(tables, fields, p, fn))
      .orderBy(...columnsOf(order).map(inOrder))
      .limit(p[LIMIT])
  }),
)

export const AHEAD = ['started'] as const
/** Read from an index alone. */
export const keyAhead = statementFor((fields: Listed) =>
  statement<Parameters>()(`nodes.keyAhead:${fields.join()}`, (db, tables, p, fn) => {
    const { nodes } = tables
    const order = orderedBy(tables, fields, fn)
    const inOrder = order.isDescending ? descending : ascending
    return db
      .select({ nodeId: nodes.nodeId, [STORED_TIME]: undecoded(order.by) })
      .from(nodes)
      .where(matching(tables, fields, p, fn))
      .orderBy(...columnsOf(order).map(inOrder))
      .limit(1)
      .offset(p[SKIPPED])
  }),
)

export const countMatching = statementFor((fields: Listed) =>
  statement<Parameters>()(`nodes.count:${fields.join()}`, (db, tables, p, fn) =>
    db
      .select({ count: count() })
      .from(tables.nodes)
      .where(matching(tables, fields, p, fn)),
  ),
)
