/**
 * `by-hand.ts DATABASE-URL REDIS-PORT`: what examples/mesh-api serves of nodes and paths, written on `pg` and Redis: nodes
 * in PostgreSQL, paths in Redis for 30 seconds, and with each node a set of the paths that lead through it.
 */
import Fastify from 'fastify'
import pg from 'pg'
import { createClient } from 'redis'
import { readTopologyFile } from '../../examples/mesh-api/src/import/read.ts'
import { Pathfinder } from '../../examples/mesh-api/src/pathfinder/pathfinder.ts'
import { EXAMPLE } from '../../examples/mesh-api/src/usage.ts'

const TTL_SECONDS = 30
const texts = { type: 'array', items: { type: 'string' } }
const node = {
  type: 'object',
  properties: {
    node_id: { type: 'string' },
    interfaces: texts,
    protocols: texts,
    started: { type: 'boolean' },
    routes_discovered: { type: 'integer' },
    created_at: { type: 'string' },
    updated_at: { type: 'string' },
  },
}
const patch = {
  type: 'object',
  properties: { interfaces: texts, protocols: texts, started: { type: 'boolean' } },
  additionalProperties: false,
}

const [, , database, redisPort] = process.argv
const pool = new pg.Pool({ connectionString: database, max: 10 })
await pool.query(`CREATE TABLE nodes (
  node_id text PRIMARY KEY, interfaces jsonb NOT NULL, protocols jsonb NOT NULL, started boolean NOT NULL DEFAULT false,
  routes_discovered integer NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now())`)
const redis = createClient({ url: `redis://127.0.0.1:${redisPort}` })
redis.on('error', () => {})
await redis.connect()
const pathfinder = new Pathfinder(readTopologyFile(EXAMPLE))

const app = Fastify({ logger: { level: 'warn' } })

app.post<{ Body: { node_id: string; interfaces: string[]; protocols: string[] } }>(
  '/mesh/nodes',
  { schema: { response: { 201: node } } },
  async ({ body }, reply) => {
    const { rows } = await pool.query(
      'INSERT INTO nodes (node_id, interfaces, protocols) VALUES ($1, $2, $3) RETURNING *',
      [body.node_id, JSON.stringify(body.interfaces), JSON.stringify(body.protocols)],
    )
    return reply.code(201).send(rows[0])
  },
)

app.get<{ Params: { id: string } }>(
  '/mesh/nodes/:id',
  { schema: { response: { 200: node } } },
  async ({ params: { id } }, reply) => {
    const found = await pool.query({ name: 'node', text: 'SELECT * FROM nodes WHERE node_id = $1', values: [id] })
    return found.rows[0] ?? reply.code(404).send()
  },
)

app.patch<{ Params: { id: string }; Body: Record<string, unknown> }>(
  '/mesh/nodes/:id',
  { schema: { body: patch, response: { 200: node } } },
  async ({ params: { id }, body }, reply) => {
    const { interfaces, protocols, started } = body
    const { rows } = await pool.query({
      name: 'patch',
      text: `UPDATE nodes SET interfaces = coalesce($2, interfaces), protocols = coalesce($3, protocols),
        started = coalesce($4, started), updated_at = now() WHERE node_id = $1 RETURNING *`,
      values: [id, interfaces && JSON.stringify(interfaces), protocols && JSON.stringify(protocols), started],
    })
    const keys = await redis.sMembers(`via:${id}`)
    if (keys.length > 0) await redis.del([...keys, `via:${id}`])
    return rows[0] ?? reply.code(404).send()
  },
)

app.get<{ Querystring: { source: string; destination: string; k: number } }>(
  '/mesh/paths',
  { schema: { querystring: { type: 'object', properties: { k: { type: 'integer' } } } } },
  async ({ query }, reply) => {
    const key = `path:${query.source}:${query.destination}:${query.k}`
    reply.header('content-type', 'application/json; charset=utf-8')
    const cached = await redis.get(key)
    if (cached !== null) return cached
    const bundle = pathfinder.find(query)
    const text = JSON.stringify(bundle)
    await redis.set(key, text, { EX: TTL_SECONDS })
    const nodes = new Set([...bundle.primary, ...bundle.alternatives].flatMap((path) => path.nodes))
    for (const each of nodes) await redis.sAdd(`via:${each}`, key)
    return text
  },
)

const listening = await app.listen({ port: 0, host: '127.0.0.1' })
console.log(`Listening on ${listening}`)
process.once('SIGTERM', async () => {
  await app.close()
  await redis.close()
  await pool.end()
})
