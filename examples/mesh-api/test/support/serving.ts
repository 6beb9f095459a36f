/** The application in this process, on a database of its own. */
import type { FastifyInstance } from 'fastify'
import type { LastingBackend, LastingStore, OpenOptions } from '../../../../test/support/backends.ts'
import { type AppOptions, createApp } from '../../src/app.ts'
import { importTopology } from '../../src/import/store.ts'
import type { MeshStore } from '../../src/mesh-store.ts'
import { migrations, tables } from '../../src/tables/schema.ts'
import type { Topology } from '../../src/topology.ts'
import { Client } from './client.ts'

export interface Serving extends AsyncDisposable {
  readonly app: FastifyInstance
  readonly store: MeshStore
  readonly opened: LastingStore
  readonly client: Client
}

/** Options to open a database of the application with. */
export const OWN = { tables, migrations }

/** The application's own tables are there: the database was opened with them. */
export const asMesh = (store: unknown): MeshStore => store as MeshStore

/** `await using served = await serving(backend, topology)`. */
export async function serving(
  backend: LastingBackend,
  topology: Topology,
  options?: OpenOptions,
  how: Pick<AppOptions, 'heartbeatMs' | 'allowedHosts' | 'token'> = {},
): Promise<Serving> {
  const opened = await backend.open({ ...options, ...OWN })
  const store = asMesh(opened.store)
  await importTopology(store, topology)
  const app = await createApp({ store, ...how })
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
