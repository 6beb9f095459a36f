/** Statements of the node repository. */
import type { NodeFilter } from '../api.ts'
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
import { pick, statement, statementFor } from '../database/statement.ts'
import type { MeshNode, MeshNodePatch } from '../schema/index.ts'
import type { Range } from './pages.ts'

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

/** Whether the row exists, also if its values cannot be read. */
export const keyById = statement<{ nodeId: string }>()(
  'nodes.exists',
  (db, { nodes }, p) => db.select({ nodeId: nodes.nodeId }).from(nodes).where(eq(nodes.nodeId, p.nodeId)),
  'reads one row',
)

/** An existing key changes no row. A unique violation would end a transaction on PostgreSQL. */
export const insert = statement<MeshNode>()(
  'nodes.create',
  (db, { nodes }, p) => db.insert(nodes).values(pick(p, COLUMNS)).onConflictDoNothing(),
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

export const updateMany = statementFor((fields: readonly (PatchField | (typeof MANY)[number])[]) =>
  statement<Many & MeshNodePatch & { now: Date }>()(`nodes.updateMany:${fields.join()}`, (db, { nodes }, p, fn) =>
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
          fields.includes('ifStarted') ? eq(nodes.started, p.ifStarted) : undefined,
          fields.includes('protocol') ? fn.contains(nodes.protocols, p.protocol) : undefined,
          fields.includes('interface') ? fn.contains(nodes.interfaces, p.interface) : undefined,
        ),
      ),
  ),
)

export const removeMany = statementFor((fields: readonly (typeof MANY)[number][]) =>
  statement<Many>()(`nodes.deleteMany:${fields.join()}`, (db, { nodes }, p, fn) =>
    db
      .delete(nodes)
      .where(
        and(
          fields.includes('ifStarted') ? eq(nodes.started, p.ifStarted) : undefined,
          fields.includes('protocol') ? fn.contains(nodes.protocols, p.protocol) : undefined,
          fields.includes('interface') ? fn.contains(nodes.interfaces, p.interface) : undefined,
        ),
      ),
  ),
)

type Filter = NodeFilter & Range
type Condition = FilterField | keyof Range
export const CONDITIONS = [...FILTER_FIELDS, 'after', 'upTo'] as const

export const list = statementFor((fields: readonly Condition[]) =>
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
          fields.includes('upTo') ? lte(nodes.nodeId, p.upTo) : undefined,
        ),
      )
      .orderBy(ascending(nodes.nodeId))
      .limit(p.limit),
  ),
)

export const AHEAD = ['started', 'after'] as const
/** Read from an index alone. */
export const keyAhead = statementFor((fields: readonly (typeof AHEAD)[number][]) =>
  statement<Filter & { skipped: number }>()(`nodes.keyAhead:${fields.join()}`, (db, { nodes }, p) =>
    db
      .select({ nodeId: nodes.nodeId })
      .from(nodes)
      .where(
        and(
          fields.includes('started') ? eq(nodes.started, p.started) : undefined,
          fields.includes('after') ? gt(nodes.nodeId, p.after) : undefined,
        ),
      )
      .orderBy(ascending(nodes.nodeId))
      .limit(1)
      .offset(p.skipped),
  ),
)

export const countMatching = statementFor((fields: readonly Condition[]) =>
  statement<Filter>()(`nodes.count:${fields.join()}`, (db, { nodes }, p, fn) =>
    db
      .select({ count: count() })
      .from(nodes)
      .where(
        and(
          fields.includes('started') ? eq(nodes.started, p.started) : undefined,
          fields.includes('protocol') ? fn.contains(nodes.protocols, p.protocol) : undefined,
          fields.includes('interface') ? fn.contains(nodes.interfaces, p.interface) : undefined,
          fields.includes('after') ? gt(nodes.nodeId, p.after) : undefined,
          fields.includes('upTo') ? lte(nodes.nodeId, p.upTo) : undefined,
        ),
      ),
  ),
)
