import {
  and,
  ascending,
  count,
  descending,
  eq,
  equalsMillisecond,
  excluded,
  type Functions,
  nextMillisecond,
  type Select,
  type SQL,
  type Tables,
  undecoded,
  valueFor,
} from '../database/queries.ts'
import { pick, statement, statementFor } from '../database/statement.ts'
import type { Policy, PolicySummary } from '../schema/index.ts'
import { columnsOf, LIMIT, SKIPPED, STORED_TIME, within } from './order.ts'

const COLUMNS = ['policyId', 'yamlContent', 'rulesCount', 'createdAt', 'updatedAt'] as const

export const byId = statement<{ policyId: string }>()(
  'policies.get',
  (db, { policies }, p) => db.select().from(policies).where(eq(policies.policyId, p.policyId)),
  'reads one row',
)

/** Tells a key that is there from a row that a trigger has dropped. */
export const isThere = statement<{ policyId: string }>()('policies.isThere', (db, { policies }, p) =>
  db.select({ policyId: policies.policyId }).from(policies).where(eq(policies.policyId, p.policyId)),
)

export const insert = statement<Policy>()(
  'policies.create',
  (db, { policies }, p) =>
    db.insert(policies).values(pick(p, COLUMNS)).onConflictDoNothing({ target: policies.policyId }),
  'inserts one row',
)

export const upsert = statement<Policy>()(
  'policies.save',
  (db, { policies }, p, fn) => {
    const set = {
      yamlContent: excluded(policies.yamlContent),
      rulesCount: excluded(policies.rulesCount),
      updatedAt: fn.greatest(excluded(policies.updatedAt), nextMillisecond(policies.updatedAt)),
    }
    const insertOrUpdate = db.insert(policies).values(pick(p, COLUMNS))
    return insertOrUpdate.onConflictDoUpdate({ target: policies.policyId, set }).returning()
  },
  'inserts one row',
)

export const CHANGES = ['yamlContent', 'rulesCount', 'ifMillisecond'] as const
interface Update {
  policyId: string
  now: Date
  yamlContent?: string | undefined
  rulesCount?: number | undefined
  ifMillisecond?: number | undefined
}
export const update = statementFor((fields: readonly (typeof CHANGES)[number][]) =>
  statement<Update>()(
    `policies.update:${fields.join()}`,
    (db, { policies }, p, fn) =>
      db
        .update(policies)
        .set({
          ...(fields.includes('yamlContent') ? pick(p, ['yamlContent', 'rulesCount']) : {}),
          updatedAt: fn.greatest(valueFor(policies.updatedAt, p.now), nextMillisecond(policies.updatedAt)),
        })
        .where(
          and(
            eq(policies.policyId, p.policyId),
            fields.includes('ifMillisecond') ? equalsMillisecond(policies.updatedAt, p.ifMillisecond) : undefined,
          ),
        )
        .returning(),
    'changes one row',
  ),
)

export const byIds = statement<{ policyIds: readonly string[] }>()('policies.getMany', (db, { policies }, p, fn) =>
  db.select().from(policies).where(fn.isOneOf(policies.policyId, p.policyIds)),
)

export const remove = statement<{ policyId: string }>()(
  'policies.delete',
  (db, { policies }, p) => db.delete(policies).where(eq(policies.policyId, p.policyId)),
  'changes one row',
)

export const removeIf = statement<{ policyId: string; ifMillisecond: number }>()(
  'policies.delete:ifMillisecond',
  (db, { policies }, p) =>
    db
      .delete(policies)
      .where(and(eq(policies.policyId, p.policyId), equalsMillisecond(policies.updatedAt, p.ifMillisecond))),
  'changes one row',
)

/** `updatedAt` and `descending` for the order, and the names of the bounds. */
export type Listed = readonly ('updatedAt' | 'descending' | `$${string}`)[]
type Parameters = Readonly<Record<typeof LIMIT | typeof SKIPPED, number>>

const orderedBy = ({ policies }: Tables, fields: Listed, fn: Functions) => ({
  table: policies,
  key: policies.policyId,
  by: fields.includes('updatedAt') ? policies.updatedAt : policies.policyId,
  isDescending: fields.includes('descending'),
  fn,
})
const matching = (tables: Tables, fields: readonly string[], p: object, fn: Functions): SQL | undefined =>
  and(...within(orderedBy(tables, fields as Listed, fn), fields, p as never))

export const list = statementFor((fields: Listed) =>
  statement<Parameters>()(`policies.list:${fields.join()}`, (db, tables, p, fn) => {
    const { policies } = tables
    const order = orderedBy(tables, fields, fn)
    const summary = pick(policies, ['policyId', 'rulesCount', 'createdAt', 'updatedAt'])
    const rows =
      order.by === order.key
        ? db.select(summary).from(policies)
        : db.select({ ...summary, [STORED_TIME]: undecoded(policies.updatedAt) }).from(policies)
    return (rows as Select<PolicySummary>)
      .where(matching(tables, fields, p, fn))
      .orderBy(...columnsOf(order).map(order.isDescending ? descending : ascending))
      .limit(p[LIMIT])
  }),
)

/** Read from an index alone. */
export const keyAhead = statementFor((fields: Listed) =>
  statement<Parameters>()(`policies.keyAhead:${fields.join()}`, (db, tables, p, fn) => {
    const { policies } = tables
    const order = orderedBy(tables, fields, fn)
    return db
      .select({ policyId: policies.policyId, [STORED_TIME]: undecoded(order.by) })
      .from(policies)
      .where(matching(tables, fields, p, fn))
      .orderBy(...columnsOf(order).map(order.isDescending ? descending : ascending))
      .limit(1)
      .offset(p[SKIPPED])
  }),
)

export const countMatching = statementFor((fields: Listed) =>
  statement<object>()(`policies.count:${fields.join()}`, (db, tables, p, fn) =>
    db
      .select({ count: count() })
      .from(tables.policies)
      .where(matching(tables, fields, p, fn)),
  ),
)

const CHANGED = ['yamlContent', 'rulesCount'] as const
type Changed = (typeof CHANGED)[number] | `$${string}`
export const updateMany = statementFor((fields: readonly Changed[]) =>
  statement<Omit<Update, 'policyId' | 'ifMillisecond'>>()(
    `policies.updateMany:${fields.join()}`,
    (db, tables, p, fn) => {
      const { policies } = tables
      const updatedAt = fn.nowOrAfter(valueFor(policies.updatedAt, p.now), policies.updatedAt)
      return db
        .update(policies)
        .set({ ...(fields.includes('yamlContent') ? pick(p, CHANGED) : {}), updatedAt })
        .where(matching(tables, fields, p, fn))
    },
    'changes many rows',
  ),
)

export const removeMany = statementFor((fields: readonly `$${string}`[]) =>
  statement<object>()(
    `policies.deleteMany:${fields.join()}`,
    (db, tables, p, fn) => db.delete(tables.policies).where(matching(tables, fields, p, fn)),
    'changes many rows',
  ),
)
