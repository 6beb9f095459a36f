/** Statements of the policy repository. */
import {
  and,
  ascending,
  count,
  eq,
  equalsMillisecond,
  excluded,
  gt,
  nextMillisecond,
  valueFor,
} from '../database/queries.ts'
import { pick, statement, statementFor } from '../database/statement.ts'
import type { Policy } from '../schema/index.ts'

const COLUMNS = ['policyId', 'yamlContent', 'rulesCount', 'createdAt', 'updatedAt'] as const

export const byId = statement<{ policyId: string }>()(
  'policies.get',
  (db, { policies }, p) => db.select().from(policies).where(eq(policies.policyId, p.policyId)),
  'reads one row',
)

/** Whether the row exists, also if its values cannot be read. */
export const keyById = statement<{ policyId: string }>()(
  'policies.exists',
  (db, { policies }, p) =>
    db.select({ policyId: policies.policyId }).from(policies).where(eq(policies.policyId, p.policyId)),
  'reads one row',
)

export const insert = statement<Policy>()(
  'policies.create',
  (db, { policies }, p) => db.insert(policies).values(pick(p, COLUMNS)).onConflictDoNothing(),
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

export const list = statementFor((fields: readonly 'after'[]) =>
  statement<{ after?: string | undefined; limit: number }>()(`policies.list:${fields.join()}`, (db, { policies }, p) =>
    db
      .select({
        policyId: policies.policyId,
        rulesCount: policies.rulesCount,
        createdAt: policies.createdAt,
        updatedAt: policies.updatedAt,
      })
      .from(policies)
      .where(fields.includes('after') ? gt(policies.policyId, p.after) : undefined)
      .orderBy(ascending(policies.policyId))
      .limit(p.limit),
  ),
)

/** Read from the key's index alone. */
export const keyAhead = statementFor((fields: readonly 'after'[]) =>
  statement<{ after?: string | undefined; skipped: number }>()(
    `policies.keyAhead:${fields.join()}`,
    (db, { policies }, p) =>
      db
        .select({ policyId: policies.policyId })
        .from(policies)
        .where(fields.includes('after') ? gt(policies.policyId, p.after) : undefined)
        .orderBy(ascending(policies.policyId))
        .limit(1)
        .offset(p.skipped),
  ),
)

export const countAll = statement<object>()('policies.count', (db, { policies }) =>
  db.select({ count: count() }).from(policies).where(undefined),
)
