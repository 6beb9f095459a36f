/** `npm run mesh-api`. Ends with 2 for what it cannot work with, with 1 if it cannot serve. */
import type { FastifyInstance } from 'fastify'
import { StorageError } from 'meshstore'
import { createApp } from './app.ts'
import { readTopologyFile } from './import/read.ts'
import { importFirst, importTopology } from './import/store.ts'
import { type MeshStore, openMesh } from './mesh-store.ts'
import { storedTopology } from './stored-mesh.ts'
import { type Topology, TopologyError } from './topology.ts'
import { EXAMPLE, HELP, type Usage, UsageError, usageOf } from './usage.ts'

async function importFiles({ files, url }: Usage): Promise<void> {
  const topologies = files.map(readTopologyFile)
  await using store = await openMesh({ url })
  for (const topology of topologies) {
    const { nodes, links } = await importTopology(store, topology)
    console.log(`${topology.label}: ${nodes} new nodes, ${links} links`)
  }
}

async function serve({ url, successor, empty, ...serving }: Usage): Promise<void> {
  const example = empty ? undefined : readTopologyFile(EXAMPLE)
  const store = await openMesh({ url, successor })
  try {
    await listen(store, example, serving)
  } catch (error) {
    await store.close()
    throw error
  }
}

type Serving = Pick<Usage, 'port' | 'host' | 'allowedHosts' | 'token'>

async function listen(
  store: MeshStore,
  example: Topology | undefined,
  { port, host, ...guarding }: Serving,
): Promise<void> {
  const imported = example && (await importFirst(store, example))
  const app = await createApp({ store, logger: { level: 'warn' }, drainMs: 100, ...guarding })
  const listening = await app.listen({ port, host })
  // The same signal again ends it at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end(app))
  const { label, nodeIds, links } = await storedTopology(store)
  console.log(`${label}: ${nodeIds.length} nodes, ${links.length} links; ${imported?.nodes ?? 0} nodes stored just now`)
  console.log(`Listening on ${listening} (${store.dialect})`)
  // The page will ask for it: drawing begins now. Neither its answer nor its failure is waited for.
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
  else await (usage.files.length > 0 ? importFiles(usage) : serve(usage))
} catch (error) {
  // The storage's messages say what to do.
  console.error(isUsage(error) || error instanceof StorageError ? error.message : said(error))
  process.exitCode = isUsage(error) ? 2 : 1
}
