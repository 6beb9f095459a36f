/** `npm run mesh-api`. Ends with 2 for what it cannot work with, with 1 if it cannot serve. */
import type { FastifyInstance } from 'fastify'
import { openStorage, StorageError } from 'meshstore'
import { createApp } from './app.ts'
import { storeFirstNodes } from './first-nodes.ts'
import { readTopologyFile, TopologyError } from './topology.ts'
import { HELP, type Usage, UsageError, usageOf } from './usage.ts'

async function serve({ topology: file, url, port, host }: Usage): Promise<void> {
  const topology = readTopologyFile(file)
  const store = await openStorage(url)
  // From here on closing the application closes the store.
  const app = await createApp({ store, topology, logger: { level: 'warn' }, drainMs: 100 })
  try {
    const stored = await storeFirstNodes(store, topology)
    const address = await app.listen({ port, host })
    const { label, nodeIds, links } = topology
    console.log(`${label}: ${nodeIds.length} nodes, ${links.length} links; ${stored} nodes stored just now`)
    console.log(`Listening on ${address} (${store.dialect})`)
    // The page asks for it: it is being drawn already.
    await app.inject('/mesh/map')
  } catch (error) {
    await app.close()
    throw error
  }
  // The same signal again ends it at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end(app))
}

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
  console.error(isUsage(error) || error instanceof StorageError ? error.message : error)
  process.exitCode = isUsage(error) ? 2 : 1
}
