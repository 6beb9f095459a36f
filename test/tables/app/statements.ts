/** Statements of the application's over its tables and the library's. */
import {
  alias,
  and,
  asc,
  avg,
  between,
  count,
  desc,
  eq,
  gt,
  inArray,
  max,
  notInArray,
  startsWith,
  sum,
  union,
} from '../../../src/query-entry.ts'
import { app } from './schema.ts'

/** A left join: the node may be absent. */
export const withOwners = app.query<{ cost: number }>()('links.withOwners', (db, { links, nodes }, p) =>
  db
    .select()
    .from(links)
    .leftJoin(nodes, eq(nodes.nodeId, links.owner))
    .where(gt(links.cost, p.cost))
    .orderBy(links.linkId),
)
export const ends = app.query()('links.ends', (db, { links, nodes }) =>
  db
    .select({ linkId: links.linkId, isUp: links.isUp, started: nodes.started, at: nodes.createdAt })
    .from(links)
    .leftJoin(nodes, eq(nodes.nodeId, links.owner))
    .orderBy(links.linkId),
)
export const perSource = app.query<{ since: Date; isUp: boolean }>()('links.perSource', (db, { links }, p) =>
  db
    .select({
      source: links.source,
      links: count(),
      cost: sum(links.cost),
      mean: avg(links.cost),
      last: max(links.seenAt),
    })
    .from(links)
    .where(and(between(links.createdAt, p.since, new Date('2100-01-01')), eq(links.isUp, p.isUp)))
    .groupBy(links.source)
    .orderBy(links.source),
)
/** A common table expression. */
export const degrees = app.query<{ least: number }>()('links.degrees', (db, { links, nodes }, p) => {
  const degree = db.$with('degree').as(
    db
      .select({ node: links.owner, n: count().as('n') })
      .from(links)
      .groupBy(links.owner),
  )
  return db
    .with(degree)
    .select({ nodeId: nodes.nodeId, degree: degree.n })
    .from(nodes)
    .innerJoin(degree, eq(degree.node, nodes.nodeId))
    .where(gt(degree.n, p.least))
    .orderBy(nodes.nodeId)
})
export const onStarted = app.query<{ sources: string[]; not: string[] }>()(
  'links.onStarted',
  (db, { links, nodes }, p) =>
    db
      .select({ linkId: links.linkId })
      .from(links)
      .where(
        and(
          inArray(links.owner, db.select({ id: nodes.nodeId }).from(nodes).where(eq(nodes.started, true))),
          inArray(links.source, p.sources),
          notInArray(links.source, p.not),
        ),
      )
      .orderBy(links.linkId),
)
export const bothEnds = app.query()('links.bothEnds', (db, { links }) =>
  union(db.select({ node: links.source }).from(links), db.select({ node: links.target }).from(links)).orderBy(
    asc(links.source),
  ),
)
export const neighbours = app.query<{ prefix: string }>()('links.neighbours', (db, { links }, p) => {
  const next = alias(links, 'next')
  return db
    .select({ first: links.linkId, second: next.linkId })
    .from(links)
    .innerJoin(next, eq(next.source, links.target))
    .where(startsWith(links.linkId, p.prefix))
    .orderBy(links.linkId, next.linkId)
})
export const bySite = app.query<{ limit: number }>()('links.bySite', (db, { links }, p) =>
  db
    .select({ linkId: links.linkId, siteId: links.siteId })
    .from(links)
    .orderBy(desc(links.siteId), links.linkId)
    .limit(p.limit),
)
export const takeDown = app.change<{ source: string; now: Date; site: string | null }>()(
  'links.takeDown',
  (db, { links }, p) =>
    db
      .update(links)
      .set({ isUp: false, updatedAt: p.now, siteId: p.site })
      .where(and(eq(links.source, p.source), eq(links.isUp, true)))
      .returning({ linkId: links.linkId, isUp: links.isUp, updatedAt: links.updatedAt }),
)
export const addSite = app.change<{ siteId: string; name: string }>()('sites.add', (db, { sites }, p) =>
  db
    .insert(sites)
    .values({ siteId: p.siteId, name: p.name, floors: 3 })
    .onConflictDoUpdate({ target: sites.siteId, set: { name: p.name } }),
)
export const removeSites = app.change()('sites.remove', (db, { sites }) => db.delete(sites))
export const misplaced = app.query<{ at: Date }>()('links.misplaced', (db, { links }, p) =>
  db
    .select()
    .from(links)
    .where(eq(p.at as never, links.createdAt)),
)
