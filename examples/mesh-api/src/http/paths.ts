import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import type { PathService } from '../path-service.ts'
import type { MeshBundle } from '../pathfinder/bundle.ts'
import { HttpProblem } from './problems.ts'
import { problems } from './responses.ts'
import { Id, Paths } from './schemas.ts'

/** The bundle as it is cached, and where it came from. */
interface Answer extends MeshBundle {
  readonly cache: {
    readonly origin: 'hit' | 'stale' | 'computed'
    readonly expires_at: string
    readonly milliseconds: number
  }
}

const query = Type.Object({
  source: Id,
  destination: Id,
  k: Type.Integer({ minimum: 1, maximum: 16, default: 3, description: 'At most so many paths that share no link' }),
})

export const pathRoutes =
  (paths: PathService): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      '/mesh/paths',
      {
        schema: {
          tags: ['paths'],
          summary: 'Paths between two nodes. Fewer than k, and none at all, are an answer like any other',
          querystring: query,
          response: { 200: Type.Unsafe<Answer>({ $ref: `${Paths.$id}#` }), ...problems(400, 404) },
        },
      },
      async ({ query: key }) => {
        if (key.source === key.destination) {
          const issue = { path: 'destination', message: 'must be another node than the source' }
          throw new HttpProblem(400, 'Paths lead from one node to another.', [issue])
        }
        const begun = performance.now()
        const { bundle, origin, expiresAt } = await paths.paths(key)
        const milliseconds = performance.now() - begun
        return { ...bundle, cache: { origin, expires_at: expiresAt.toISOString(), milliseconds } }
      },
    )
  }
