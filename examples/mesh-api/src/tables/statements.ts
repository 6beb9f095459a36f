/** Statements over the application's tables and the library's. */
import { and, asc, count, eq, max, or, sum } from 'meshstore/query'
import { tables } from './schema.ts'

/** Every change of the links changes this. */
export const linksVersion = tables.query()('links.version', (db, { links }) =>
  db.select({ links: count(), latest: max(links.updatedAt), cost: sum(links.cost) }).from(links),
)

export const everyLink = tables.query()('links.every', (db, { links }) =>
  db.select({ source: links.source, target: links.target, cost: links.cost }).from(links).orderBy(asc(links.linkId)),
)

/** Every node, with what a person calls it. */
export const namedNodes = tables.query()('nodes.named', (db, { nodes, nodeLabels }) =>
  db
    .select({ id: nodes.nodeId, label: nodeLabels.value })
    .from(nodes)
    .leftJoin(nodeLabels, and(eq(nodeLabels.nodeId, nodes.nodeId), eq(nodeLabels.name, 'label')))
    .orderBy(asc(nodes.nodeId)),
)

/** The links of a node, with the state and the label of the node at the other end. */
export const linksOfNode = tables.query<{ nodeId: string }>()('links.ofNode', (db, { links, nodes, nodeLabels }, p) =>
  db
    .select({
      linkId: links.linkId,
      cost: links.cost,
      kind: links.kind,
      nodeId: nodes.nodeId,
      started: nodes.started,
      label: nodeLabels.value,
    })
    .from(links)
    .innerJoin(
      nodes,
      or(
        and(eq(links.source, p.nodeId), eq(nodes.nodeId, links.target)),
        and(eq(links.target, p.nodeId), eq(nodes.nodeId, links.source)),
      ),
    )
    .leftJoin(nodeLabels, and(eq(nodeLabels.nodeId, nodes.nodeId), eq(nodeLabels.name, 'label')))
    .orderBy(asc(nodes.nodeId), asc(links.linkId)),
)
