/** A mesh API of two routes, as an example of an application: it starts only when nothing is pending, and ends in order. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { openStorage } from 'meshstore'

const store = await openStorage({
  url: process.env.DATABASE_URL ?? 'sqlite:./mesh.db',
  // The release has applied them: with rights on rows alone, and a sentence if it was forgotten.
  migrate: 'check',
  backups: {
    folder: process.env.BACKUPS ?? './backups',
    everySeconds: 3_600,
    keep: { hourly: 24, daily: 7, weekly: 4 },
  },
  // A second copy that is some seconds old: a folder on another disk, or s3://bucket/prefix.
  ...(process.env.REPLICA && { replicate: { to: process.env.REPLICA } }),
})

const server = createServer(async (request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  try {
    if (request.url === '/health') {
      const health = await store.health()
      answer(health.canRead && health.canWrite ? 200 : 503, health)
    } else if (request.url === '/nodes') {
      answer(200, await store.nodes.list({ limit: 1_000 }))
    } else answer(404, { error: 'There are /nodes and /health.' })
  } catch (error) {
    answer(error.retryable ? 503 : 500, { error: error.code ?? 'INTERNAL' })
  }
})
server.listen(Number(process.env.PORT ?? 8080), process.env.HOST ?? '127.0.0.1')
await once(server, 'listening')
console.log(`Listening on port ${server.address().port}.`)

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, async () => {
    server.close()
    server.closeIdleConnections()
    // Writes that were accepted are finished first.
    await store.close()
  })
}
