/** The application in this process, on a database of its own. */
import type { FastifyInstance } from 'fastify'
import type { Meshstore } from 'meshstore'
import type { LastingBackend, LastingStore, OpenOptions } from '../../../../test/support/backends.ts'
import { type AppOptions, createApp } from '../../src/app.ts'
import { storeFirstNodes } from '../../src/first-nodes.ts'
import type { Topology } from '../../src/topology.ts'
import { Client } from './client.ts'

export interface Serving extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly store: Meshstore
  readonly opened: LastingStore
  readonly client: Client
}

/** `await using served = await serving(backend, topology)`. */
export async function serving(
  backend: LastingBackend,
  topology: Topology,
  options?: OpenOptions,
  how: Pick<AppOptions, 'heartbeatMs' | 'allowedHosts' | 'token'> = {},
): Promise<Serving> {
  const opened = await backend.open(options)
  const { store } = opened
  await storeFirstNodes(store, topology)
  const app = await createApp({ store, topology, ...how })
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  return {
    app,
    store,
    opened,
    client: await Client.of(base, how.token),
    [Symbol.asyncDispose]: async () => {
      await app.close()
      await opened[Symbol.asyncDispose]()
    },
  }
}
