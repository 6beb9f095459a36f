import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { type Activity, KEPT_SECONDS } from '../activity.ts'
import { problems } from './responses.ts'
import { ActivitySamples, ref } from './schemas.ts'

export const activityRoutes =
  (activity: Activity): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      '/activity',
      {
        schema: {
          tags: ['operation'],
          summary: 'What the storage did, second by second: what the charts of the page show',
          querystring: Type.Object({
            after: Type.Optional(Type.Number({ description: 'Only later seconds: the `at` of the last one known' })),
          }),
          response: { 200: ref(ActivitySamples), ...problems(400) },
        },
      },
      async ({ query: { after = 0 } }) => ({
        now: Date.now(),
        kept_seconds: KEPT_SECONDS,
        samples: activity.since(after).map((sample) => ({
          at: sample.at,
          statements: sample.statements,
          commits: sample.commits,
          waiting_writes: sample.waitingWrites,
          statement_p99_ms: sample.statementP99,
          commit_p99_ms: sample.commitP99,
          hit_rate: sample.hitRate,
        })),
      }),
    )
  }
