/** The HTTP server on a store, from its parts. */
import { setTimeout as setTimeoutPromise } from 'node:timers/promises'
import swagger from '@fastify/swagger'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { Ajv } from 'ajv'
import formats from 'ajv-formats'
import { type FastifyInstance, type FastifyServerOptions, fastify } from 'fastify'
import { Activity } from './activity.ts'
import { ChangeFeed } from './change-feed.ts'
import { activityRoutes } from './http/activity.ts'
import { changeRoutes } from './http/changes.ts'
import { type GuardOptions, guard } from './http/guard.ts'
import { healthRoutes } from './http/health.ts'
import { linkRoutes } from './http/links.ts'
import { mapRoutes } from './http/map.ts'
import { nodeRoutes } from './http/nodes.ts'
import { page } from './http/page.ts'
import { pathRoutes } from './http/paths.ts'
import { policyRoutes } from './http/policies.ts'
import { problem, sendProblem } from './http/problems.ts'
import { NAMED } from './http/schemas.ts'
import { StoredMap } from './map.ts'
import type { MeshStore } from './mesh-store.ts'
import { Metrics } from './metrics.ts'
import { PathService } from './path-service.ts'

export interface AppOptions extends GuardOptions {
  readonly store: MeshStore
  readonly logger?: FastifyServerOptions['logger']
  /** When it closes: for so long connections in use are still served, and told to close, before the idle ones are closed. */
  readonly drainMs?: number
  /** A client that listens to changes receives something at least so often. */
  readonly heartbeatMs?: number
}

/** A node with 1,000 interfaces and protocols. Policies have a limit of their own. */
const MOST_BYTES = 1_048_576

/** The caller listens, and closes it: `close()` finishes the requests under way, and then closes the store. */
export async function createApp({
  store,
  logger = false,
  drainMs = 0,
  heartbeatMs = 15_000,
  ...guarding
}: AppOptions): Promise<FastifyInstance> {
  const app = fastify({
    logger,
    bodyLimit: MOST_BYTES,
    // Ids may be 255 characters, each of up to 12 when encoded.
    routerOptions: { maxParamLength: 4_096 },
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    frameworkErrors: sendProblem,
  }).withTypeProvider<TypeBoxTypeProvider>()

  // Bodies are JSON. Another site's page could send a plain text without asking first.
  app.removeContentTypeParser('text/plain')
  guard(app, guarding)
  for (const schema of NAMED) app.addSchema(schema)
  app.setValidatorCompiler(validators())
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler((_, reply) =>
    reply.code(404).type('application/problem+json').send(problem(404, 'There is nothing here. See /openapi.json.')),
  )
  const feed = new ChangeFeed(store)
  const metrics = new Metrics(store, feed)
  const activity = new Activity(store)
  const paths = new PathService(store)
  measureRequests(app, metrics)
  closeInOrder(app, { store, metrics, activity, drainMs })

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Mesh API',
        description: 'Nodes, links, policies and paths of a mesh, on Meshstore',
        version: '1.0.0',
      },
    },
    refResolver: { buildLocalReference: ({ $id }, _, __, index) => String($id ?? `schema-${index}`) },
  })
  await app.register(nodeRoutes(store))
  await app.register(linkRoutes(store))
  await app.register(policyRoutes(store))
  await app.register(pathRoutes(paths))
  await app.register(mapRoutes(new StoredMap(store)))
  await app.register(changeRoutes(feed, heartbeatMs))
  await app.register(healthRoutes(store, metrics))
  await app.register(activityRoutes(activity))
  await app.register(page)
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  await app.ready()
  return app
}

/** A query's values are texts and are read as what they stand for; a body's are taken as they are. */
function validators() {
  const [body, others] = [{}, { coerceTypes: true }].map((options) => {
    const ajv = new Ajv({ useDefaults: true, ...options, schemas: NAMED.map((schema) => ({ ...schema })) })
    formats.default(ajv)
    return ajv
  })
  return ({ schema, httpPart }: { schema: object; httpPart?: string }) => {
    const validate = (httpPart === 'body' ? body : others)?.compile(schema)
    if (validate === undefined) throw new Error('There is no validator.')
    return validate
  }
}

function measureRequests(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', ({ method, routeOptions }, reply, done) => {
    const route = routeOptions.url ?? 'none'
    metrics.request({ method, route, status: reply.statusCode }, reply.elapsedTime / 1_000)
    done()
  })
}

/** Then whoever still keeps one open is cut off. */
const PATIENCE_MS = 10_000

interface Closing {
  readonly store: MeshStore
  readonly metrics: Metrics
  readonly activity: Activity
  readonly drainMs: number
}

/** Stops accepting, finishes what was begun, closes the storage. */
function closeInOrder(app: FastifyInstance, { store, metrics, activity, drainMs }: Closing): void {
  let patience: NodeJS.Timeout | undefined
  app.addHook('onSend', (_, reply, __, done) => {
    if (patience !== undefined) reply.header('connection', 'close')
    done()
  })
  app.addHook('preClose', async () => {
    patience = setTimeout(() => app.server.closeAllConnections(), drainMs + PATIENCE_MS)
    await setTimeoutPromise(drainMs)
  })
  app.addHook('onClose', async () => {
    clearTimeout(patience)
    await metrics[Symbol.asyncDispose]()
    activity[Symbol.dispose]()
    await store.close()
  })
}
