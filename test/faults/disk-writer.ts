/** Writes what it is told, all of it at once, and says what came of each: `'done'` or the code of its error. */
import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { messages, say } from '../sqlite/support/messages.ts'

export type Order =
  | { readonly do: 'open'; readonly path: string }
  /** Singly, in one turn of the event loop. */
  | { readonly do: 'create'; readonly nodeIds: readonly string[] }
  /** In a transaction. */
  | { readonly do: 'transaction'; readonly nodeIds: readonly string[] }
  /** Reports the outcome, and what is in its folder afterwards. */
  | { readonly do: 'backup'; readonly target: string }
  | { readonly do: 'read' }
  | { readonly do: 'close' }

/** 2 KB, so that a disk is soon full. */
const node = (nodeId: string) => ({
  nodeId,
  interfaces: Array.from({ length: 50 }, (_, index) => `interface-${index}-of-a-node-with-many-of-them`),
  protocols: [],
})

let store: Meshstore | undefined

const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof StorageError ? error.code : String(error)),
  )

async function obey(order: Order): Promise<unknown> {
  if (order.do === 'open') {
    store = await openStorage(order.path)
    return 'done'
  }
  if (store === undefined) throw new Error('It has not been told to open a store.')
  const { nodes } = store
  switch (order.do) {
    case 'create':
      return Promise.all(order.nodeIds.map((nodeId) => outcome(nodes.create(node(nodeId)))))
    case 'transaction':
      return outcome(
        store.transaction(async (tx) => {
          for (const nodeId of order.nodeIds) await tx.nodes.create(node(nodeId))
        }),
      )
    case 'backup':
      return { outcome: await outcome(store.backup(order.target)), left: readdirSync(dirname(order.target)) }
    case 'read': {
      const ids: string[] = []
      for await (const { nodeId } of nodes.iterate()) ids.push(nodeId)
      return ids
    }
    case 'close':
      return outcome(store.close())
  }
}

for await (const order of messages<Order>()) say(JSON.stringify(await obey(order)))
