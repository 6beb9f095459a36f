import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { MeshNode, Meshstore } from 'meshstore'
import { type Static, Type } from 'typebox'
import { changed, etagOf, expectedVersion, ifUnchanged } from './etags.ts'
import { pageOf, pageQuery } from './pages.ts'
import { HttpProblem } from './problems.ts'
import { problems, versioned } from './responses.ts'
import { NewNode, Node, NodePage, NodePatch, ref } from './schemas.ts'

const tags = ['nodes']
const params = Type.Object({ id: Type.String() })
const headers = Type.Object({ 'if-match': Type.Optional(Type.String({ description: 'An ETag: only this version' })) })
const query = Type.Object({
  ...pageQuery,
  started: Type.Optional(Type.Boolean()),
  protocol: Type.Optional(Type.String()),
  interface: Type.Optional(Type.String()),
})

const json = (node: MeshNode): Static<typeof Node> => ({
  node_id: node.nodeId,
  interfaces: node.interfaces,
  protocols: node.protocols,
  started: node.started,
  routes_discovered: node.routesDiscovered,
  created_at: node.createdAt.toISOString(),
  updated_at: node.updatedAt.toISOString(),
})

export const nodeRoutes =
  (store: Meshstore): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      '/mesh/nodes',
      {
        schema: {
          tags,
          summary: 'Add a node',
          body: ref(NewNode),
          response: { 201: versioned('Added', ref(Node)), ...problems(400, 409, 413, 415) },
        },
      },
      async ({ body }, reply) => {
        const { node_id: nodeId, ...members } = body
        // The storage drops the paths that a change breaks. Paths that a new node makes possible are found by looking
        // again.
        const node = await store.transaction(async (tx) => {
          const created = await tx.nodes.create({ nodeId, ...members })
          await tx.pathCache.clear()
          return created
        })
        reply
          .code(201)
          .header('location', `/mesh/nodes/${encodeURIComponent(nodeId)}`)
          .header('etag', etagOf(node))
        return json(node)
      },
    )

    app.get(
      '/mesh/nodes',
      {
        schema: {
          tags,
          summary: 'List nodes, in the order of their ids',
          querystring: query,
          response: { 200: ref(NodePage), ...problems(400) },
        },
      },
      async ({ url, query: { limit, ...filter } }) =>
        pageOf(url, limit, (limit) => store.nodes.list({ ...filter, limit }), { id: ({ nodeId }) => nodeId, json }),
    )

    app.get(
      '/mesh/nodes/:id',
      {
        schema: {
          tags,
          summary: 'One node',
          params,
          response: { 200: versioned('The node', ref(Node)), ...problems(400, 404) },
        },
      },
      async ({ params: { id } }, reply) => {
        const node = await store.nodes.get(id)
        if (node === undefined) throw none(id)
        reply.header('etag', etagOf(node))
        return json(node)
      },
    )

    app.patch(
      '/mesh/nodes/:id',
      {
        schema: {
          tags,
          summary: 'Change a node, or start or stop it',
          params,
          headers,
          body: ref(NodePatch),
          response: { 200: versioned('The node as it is now', ref(Node)), ...problems(400, 404, 409, 412, 413, 415) },
        },
      },
      async ({ params: { id }, headers, body }, reply) => {
        const ifUpdatedAt = expectedVersion(headers['if-match'])
        const update = (nodes: Meshstore['nodes']): Promise<MeshNode> => nodes.update(id, body, { ifUpdatedAt })
        // A single statement needs no transaction of its own: writes that wait together share a commit.
        const updating =
          body.started === true
            ? store.transaction(async ({ nodes, pathCache }) => {
                const updated = await update(nodes)
                await pathCache.clear()
                return updated
              })
            : update(store.nodes)
        const node = await ifUnchanged(ifUpdatedAt, updating)
        reply.header('etag', etagOf(node))
        return json(node)
      },
    )

    app.delete(
      '/mesh/nodes/:id',
      {
        schema: {
          tags,
          summary: 'Remove a node',
          params,
          headers,
          response: { 204: Type.Null({ description: 'Removed' }), ...problems(400, 404, 409, 412) },
        },
      },
      async ({ params: { id }, headers }, reply) => {
        const version = expectedVersion(headers['if-match'])
        // The version is compared and the node removed in one transaction: nobody changes it in between.
        await store.transaction(async (tx) => {
          const node = version && (await tx.nodes.get(id))
          if (node && etagOf(node) !== etagOf({ updatedAt: version })) throw changed()
          if (!(await tx.nodes.delete(id))) throw none(id)
        })
        return reply.code(204).send(null)
      },
    )
  }

const none = (id: string): HttpProblem => new HttpProblem(404, `There is no node ${JSON.stringify(id)}.`)
