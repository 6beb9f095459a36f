/** A process that serves from a store under load, does as it is told, and tells what its callers were told. */
import { type Meshstore, openStorage, type StorageOptions } from '../../../../src/index.ts'
import { messages, say } from '../../../sqlite/support/messages.ts'
import { Load } from '../support/load.ts'

export type Order =
  | { readonly open: StorageOptions; readonly prefix: string; readonly seed: number; readonly perSecond: number }
  /** Answers when so many more writes have been answered. */
  | { readonly progress: number }
  | { readonly move: string; readonly maxPauseMs?: number }
  | 'stop'

let [store, load]: [Meshstore?, Load?] = []

async function obey(order: Order): Promise<unknown> {
  if (order === 'stop') {
    const journal = await load?.stop()
    const dialect = store?.dialect
    await store?.close()
    return { journal, dialect }
  }
  if ('open' in order) {
    store = await openStorage(order.open)
    load = new Load(store, order.prefix, order.seed)
    load.start(order.perSecond)
    return 'open'
  }
  if ('move' in order) return store?.moveTo(order.move, { maxPauseMs: order.maxPauseMs })
  const { journal } = load as Load
  const enough = journal.writes + order.progress
  while (journal.writes < enough && journal.rejected.length < 100)
    await new Promise((resolve) => setTimeout(resolve, 2))
  return journal.writes
}

say('ready')
for await (const order of messages<Order>()) {
  await obey(order).then(
    (answer) => say({ answer }),
    (error) => say({ error: `${error?.code} ${error?.message ?? error}` }),
  )
}
process.exit(2)
