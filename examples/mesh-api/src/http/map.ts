import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { StoredMap } from '../map.ts'
import { problems } from './responses.ts'
import { MeshMap, ref } from './schemas.ts'

export const mapRoutes =
  (map: StoredMap): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      '/mesh/map',
      {
        schema: {
          tags: ['paths'],
          summary: 'The mesh: its nodes, with where to draw them, and its links',
          response: { 200: ref(MeshMap), ...problems() },
        },
      },
      () => map.asOfNow(),
    )
  }
