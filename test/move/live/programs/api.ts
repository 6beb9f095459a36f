/** The mesh API of the examples as a process of its own, on a store that knows its successor. */
import { createApp } from '../../../../examples/mesh-api/src/app.ts'
import { readTopologyFile } from '../../../../examples/mesh-api/src/import/read.ts'
import { importTopology } from '../../../../examples/mesh-api/src/import/store.ts'
import { type MeshStore, openMesh } from '../../../../examples/mesh-api/src/mesh-store.ts'
import type { StorageOptions } from '../../../../src/index.ts'
import { messages, say } from '../../../sqlite/support/messages.ts'

export type Order = { readonly serve: StorageOptions; readonly topology: string } | 'end'

/** The application's transactions have the usual time limit, which is no fault of the move where others have the processors. */
function patient(store: MeshStore): MeshStore {
  const transaction: MeshStore['transaction'] = store.transaction.bind(store)
  const value: MeshStore['transaction'] = (work, options) => transaction(work, { timeoutMs: 60_000, ...options })
  return Object.defineProperty(store, 'transaction', { value })
}

let close = async (): Promise<unknown> => undefined

async function obey(order: Order): Promise<unknown> {
  if (order === 'end') return close()
  const topology = readTopologyFile(order.topology)
  const store = patient(await openMesh(order.serve))
  await importTopology(store, topology)
  const app = await createApp({ store })
  const base = await app.listen({ port: 0, host: '127.0.0.1' })
  close = async () => {
    const { dialect } = store
    await app.close()
    return { dialect }
  }
  return base
}

say('ready')
for await (const order of messages<Order>()) {
  await obey(order).then(
    (answer) => say({ answer }),
    (error) => say({ error: String(error) }),
  )
}
process.exit(2)
