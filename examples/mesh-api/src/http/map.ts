import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { drawMap } from '../map.ts'
import type { Topology } from '../topology.ts'
import { problems } from './responses.ts'
import { MeshMap, ref } from './schemas.ts'

export const mapRoutes =
  (topology: Topology): FastifyPluginAsyncTypebox =>
  async (app) => {
    // Drawn when it is first asked for.
    let map: ReturnType<typeof drawMap> | undefined
    app.get(
      '/mesh/map',
      {
        schema: {
          tags: ['paths'],
          summary: 'The topology: its nodes, with where to draw them, and its links',
          response: { 200: ref(MeshMap), ...problems() },
        },
      },
      () => {
        map ??= drawMap(topology).catch((error: unknown) => {
          map = undefined
          throw error
        })
        return map
      },
    )
  }
