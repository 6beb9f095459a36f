/** `npm run mesh-api`. Ends with 2 for what it cannot work with, with 1 if it cannot serve. */
import type { FastifyInstance } from 'fastify'
import { type Meshstore, openStorage, StorageError } from 'meshstore'
import { createApp } from './app.ts'
import { storeFirstNodes } from './first-nodes.ts'
import { readTopologyFile, type Topology, TopologyError } from './topology.ts'
import { HELP, type Usage, UsageError, usageOf } from './usage.ts'

async function serve({ topology: file, url, successor, ...serving }: Usage): Promise<void> {
  const topology = readTopologyFile(file)
  const store = await openStorage({ url, successor })
  try {
    await listen(store, topology, serving)
  } catch (error) {
    await store.close()
    throw error
  }
}

type Serving = Pick<Usage, 'port' | 'host' | 'allowedHosts' | 'token'>

async function listen(store: Meshstore, topology: Topology, { port, host, ...guarding }: Serving): Promise<void> {
  const stored = await storeFirstNodes(store, topology)
  const app = await createApp({ store, topology, logger: { level: 'warn' }, drainMs: 100, ...guarding })
  const listening = await app.listen({ port, host })
  // The same signal again ends it at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end(app))
  const { label, nodeIds, links } = topology
  console.log(`${label}: ${nodeIds.length} nodes, ${links.length} links; ${stored} nodes stored just now`)
  console.log(`Listening on ${listening} (${store.dialect})`)
  // The page will ask for it: it is being drawn already. Nobody waits for it, nor for it to fail.
  app.inject({ url: '/mesh/map', headers: { authorization: `Bearer ${guarding.token}` } }).catch(() => {})
}

/** Most often the port is another server's. */
const said = (error: unknown): unknown =>
  error instanceof Error && 'syscall' in error && error.syscall === 'listen'
    ? `${error.message.replace(/^listen /, 'Nobody can listen there: ')}. Choose another with --port or --host.`
    : error

/** Stops accepting, finishes what was begun, closes the storage. */
async function end(app: FastifyInstance): Promise<void> {
  try {
    await app.close()
  } catch (error) {
    console.error(error)
    process.exitCode = 1
  }
}

const isUsage = (error: unknown): error is Error =>
  error instanceof UsageError ||
  error instanceof TopologyError ||
  (error instanceof StorageError && error.code === 'CONFIG')

try {
  const usage = usageOf(process.argv.slice(2), process.env)
  if (usage === 'help') console.log(HELP)
  else await serve(usage)
} catch (error) {
  // The storage's messages say what to do.
  console.error(isUsage(error) || error instanceof StorageError ? error.message : said(error))
  process.exitCode = isUsage(error) ? 2 : 1
}
