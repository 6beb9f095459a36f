import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Meshstore } from 'meshstore'
import { Type } from 'typebox'
import type { Metrics } from '../metrics.ts'
import { Health, ref } from './schemas.ts'

export const healthRoutes =
  (store: Meshstore, metrics: Metrics): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.get(
      '/health',
      {
        schema: {
          tags: ['operation'],
          summary: 'Whether the storage can be read and written; it tries both',
          response: { 200: ref(Health), 503: ref(Health) },
        },
      },
      async (_, reply) => {
        const health = await store.health()
        const ok = health.canRead && health.canWrite
        // A database that cannot be counted has no figures: the problems say why.
        const stats = await store.stats().catch(() => undefined)
        return reply.code(ok ? 200 : 503).send({
          status: ok ? 'ok' : 'failing',
          timestamp: new Date().toISOString(),
          dialect: store.dialect,
          can_read: health.canRead,
          can_write: health.canWrite,
          read_ms: health.readMs,
          write_ms: health.writeMs,
          last_backup: health.lastBackup?.toISOString() ?? null,
          problems: [...health.problems],
          ...(stats && {
            nodes: stats.rows.nodes,
            policies: stats.rows.policies,
            cached_paths: stats.rows.pathCache,
            schema_version: stats.schemaVersion,
          }),
        })
      },
    )

    app.get(
      '/metrics',
      {
        schema: {
          tags: ['operation'],
          summary: "Prometheus' text format",
          response: { 200: { description: 'Metrics', content: { 'text/plain': { schema: Type.String() } } } },
        },
      },
      async (_, reply) => reply.type(metrics.contentType).send(await metrics.text()),
    )
  }
