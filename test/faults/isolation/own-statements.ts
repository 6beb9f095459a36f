/** Statements over an own table and `nodes`, of which the checker knows what they read and wrote. */
import { and, count, eq, inArray } from '../../../src/query-entry.ts'
import { app } from '../../tables/app/schema.ts'

/** A left join: the node may be absent. */
export const withTargets = app.query<{ source: string }>()('isolation.withTargets', (db, { links, nodes }, p) =>
  db
    .select({ link: links, node: nodes })
    .from(links)
    .leftJoin(nodes, eq(nodes.nodeId, links.target))
    .where(eq(links.source, p.source)),
)
export const upFrom = app.query<{ source: string }>()('isolation.upFrom', (db, { links }, p) =>
  db
    .select({ links: count() })
    .from(links)
    .where(and(eq(links.source, p.source), eq(links.isUp, true))),
)

/** `cost` and `isUp` are part of a row's version. */
interface To {
  readonly tags: string[]
  readonly cost: number
  readonly isUp: boolean
  readonly now: Date
}
export const putLink = app.change<To & { linkId: string; source: string; target: string }>()(
  'isolation.putLink',
  (db, { links }, { linkId, source, target, tags, cost, isUp, now }) =>
    db
      .insert(links)
      .values({ linkId, source, target, tags, cost, isUp, createdAt: now, updatedAt: now })
      .onConflictDoUpdate({ target: links.linkId, set: { tags, cost, isUp, updatedAt: now } })
      .returning(),
)
export const changeUp = app.change<To & { source: string }>()(
  'isolation.changeUp',
  (db, { links }, { source, tags, cost, isUp, now }) =>
    db
      .update(links)
      .set({ tags, cost, isUp, updatedAt: now })
      .where(and(eq(links.source, source), eq(links.isUp, true)))
      .returning(),
)
export const removeUp = app.change<{ source: string }>()('isolation.removeUp', (db, { links }, p) =>
  db
    .delete(links)
    .where(and(eq(links.source, p.source), eq(links.isUp, true)))
    .returning({ linkId: links.linkId }),
)
/** Reads one table and changes the other. */
export const changeTargets = app.change<{ source: string; protocols: string[]; started: boolean; now: Date }>()(
  'isolation.changeTargets',
  (db, { links, nodes }, { source, protocols, started, now }) =>
    db
      .update(nodes)
      .set({ protocols, started, updatedAt: now })
      .where(
        inArray(
          nodes.nodeId,
          db
            .select({ id: links.target })
            .from(links)
            .where(and(eq(links.source, source), eq(links.isUp, true))),
        ),
      )
      .returning(),
)
