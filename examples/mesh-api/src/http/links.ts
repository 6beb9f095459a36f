import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from 'typebox'
import type { MeshStore } from '../mesh-store.ts'
import { missingNodes } from '../states.ts'
import { keyOf } from '../tables/schema.ts'
import { linksOfNode } from '../tables/statements.ts'
import { etagOf, expectedVersion, ifUnchanged } from './etags.ts'
import { pageOf, pageQuery } from './pages.ts'
import { HttpProblem } from './problems.ts'
import { problems, versioned } from './responses.ts'
import { Link, LinkPage, LinkPatch, Neighbours, NewLink, ref } from './schemas.ts'

const tags = ['links']
const params = Type.Object({ id: Type.String() })
const headers = Type.Object({ 'if-match': Type.Optional(Type.String({ description: 'An ETag: only this version' })) })
const query = Type.Object({
  ...pageQuery,
  source: Type.Optional(Type.String()),
  target: Type.Optional(Type.String()),
})

type Row = NonNullable<Awaited<ReturnType<MeshStore['tables']['links']['get']>>>

const json = (link: Row): Static<typeof Link> => ({
  link_id: link.linkId,
  source: link.source,
  target: link.target,
  cost: link.cost,
  kind: link.kind,
  created_at: link.createdAt.toISOString(),
  updated_at: link.updatedAt.toISOString(),
})

export const linkRoutes =
  (store: MeshStore): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      '/mesh/links',
      {
        schema: {
          tags,
          summary: 'Add a link. It works both ways',
          body: ref(NewLink),
          response: { 201: versioned('Added', ref(Link)), ...problems(400, 404, 409, 413, 415) },
        },
      },
      async ({ body: { source, target, cost, kind = null } }, reply) => {
        if (source === target) {
          const issue = { path: 'target', message: 'must be another node than the source' }
          throw new HttpProblem(400, 'A link leads from one node to another.', [issue])
        }
        const linkId = keyOf(source, target)
        const link = await store.transaction(async (tx) => {
          const [missing] = await missingNodes(tx, [source, target])
          if (missing !== undefined) throw noNode(missing)
          const created = await tx.tables.links.create({ linkId, source, target, cost, kind })
          // The storage drops the paths through the ends. Paths that do not cross them may be longer than a new one.
          await tx.pathCache.clear()
          return created
        })
        reply
          .code(201)
          .header('location', `/mesh/links/${encodeURIComponent(linkId)}`)
          .header('etag', etagOf(link))
        return json(link)
      },
    )

    app.get(
      '/mesh/links',
      {
        schema: {
          tags,
          summary: 'List links, in the order of their ids',
          querystring: query,
          response: { 200: ref(LinkPage), ...problems(400) },
        },
      },
      async ({ url, query: { limit, after, ...where } }) =>
        pageOf(url, limit, (limit) => store.tables.links.list({ where, after, limit }), {
          id: ({ linkId }) => linkId,
          json,
        }),
    )

    app.get(
      '/mesh/links/:id',
      {
        schema: {
          tags,
          summary: 'One link',
          params,
          response: { 200: versioned('The link', ref(Link)), ...problems(400, 404) },
        },
      },
      async ({ params: { id } }, reply) => {
        const link = await store.tables.links.get(id)
        if (link === undefined) throw noLink(id)
        reply.header('etag', etagOf(link))
        return json(link)
      },
    )

    app.patch(
      '/mesh/links/:id',
      {
        schema: {
          tags,
          summary: 'Change the weight of a link, or its kind',
          params,
          headers,
          body: ref(LinkPatch),
          response: { 200: versioned('The link as it is now', ref(Link)), ...problems(400, 404, 409, 412, 413, 415) },
        },
      },
      async ({ params: { id }, headers, body }, reply) => {
        const ifUpdatedAt = expectedVersion(headers['if-match'])
        const updating = store.transaction(async (tx) => {
          const before = await tx.tables.links.get(id)
          const updated = await tx.tables.links.update(
            id,
            body,
            ...(ifUpdatedAt === undefined ? [] : [{ ifUpdatedAt }]),
          )
          if (before !== undefined && updated.cost < before.cost) await tx.pathCache.clear()
          return updated
        })
        const link = await ifUnchanged(ifUpdatedAt, updating)
        reply.header('etag', etagOf(link))
        return json(link)
      },
    )

    app.delete(
      '/mesh/links/:id',
      {
        schema: {
          tags,
          summary: 'Remove a link',
          params,
          headers,
          response: { 204: Type.Null({ description: 'Removed' }), ...problems(400, 404, 409, 412) },
        },
      },
      async ({ params: { id }, headers }, reply) => {
        const ifUpdatedAt = expectedVersion(headers['if-match'])
        const options = ifUpdatedAt === undefined ? [] : ([{ ifUpdatedAt }] as const)
        if (!(await ifUnchanged(ifUpdatedAt, store.tables.links.delete(id, ...options)))) throw noLink(id)
        return reply.code(204).send(null)
      },
    )

    app.get(
      '/mesh/nodes/:id/links',
      {
        schema: {
          tags,
          summary: 'The links of a node, and the nodes at their other ends, in the order of their ids',
          params,
          response: { 200: ref(Neighbours), ...problems(400, 404) },
        },
      },
      async ({ params: { id } }) => {
        if ((await store.nodes.get(id)) === undefined) throw noNode(id)
        const found = await store.query(linksOfNode, { nodeId: id })
        return {
          items: found.map(({ linkId, nodeId, label, started, cost, kind }) => ({
            link_id: linkId,
            node_id: nodeId,
            label: label ?? nodeId,
            started,
            cost,
            kind,
          })),
        }
      },
    )
  }

const noLink = (id: string): HttpProblem => new HttpProblem(404, `There is no link ${JSON.stringify(id)}.`)
const noNode = (id: string): HttpProblem => new HttpProblem(404, `There is no node ${JSON.stringify(id)}.`)
