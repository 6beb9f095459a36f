/** Another program on the file: does what it is told on connections of its own, one thing after another. */
import Sqlite from 'better-sqlite3'
import { type Meshstore, openStorage, restoreBackup, StorageError } from '../../../src/index.ts'
import { messages, say } from '../../sqlite/support/messages.ts'

export type Order =
  /** Opens a store, and does nothing. */
  | { readonly do: 'open'; readonly path: string }
  /** Opens a connection past the library, and runs this SQL. */
  | { readonly do: 'sql'; readonly path: string; readonly sql: string }
  /** From now on adds a node after the other. */
  | { readonly do: 'write' }
  /** The ids of the nodes whose creation was acknowledged. */
  | { readonly do: 'stop' }
  | { readonly do: 'close' }
  /** Restores, and says what came of it. */
  | { readonly do: 'restore'; readonly file: string; readonly path: string }

let store: Meshstore | undefined
let raw: Sqlite.Database | undefined
let writing = false
let loop: Promise<void> = Promise.resolve()
const acknowledged: string[] = []

async function write(): Promise<void> {
  for (let index = 0; writing; index++) {
    await store?.nodes.create({ nodeId: `neighbour-${index}`, interfaces: [], protocols: [] })
    acknowledged.push(`neighbour-${index}`)
  }
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'open':
      store = await openStorage(order.path)
      return 'open'
    case 'sql':
      raw = new Sqlite(order.path)
      raw.exec(order.sql)
      return 'done'
    case 'write':
      writing = true
      loop = write()
      return 'writing'
    case 'stop':
      writing = false
      await loop
      return acknowledged
    case 'close':
      await store?.close()
      raw?.close()
      return 'closed'
    case 'restore':
      return restoreBackup(order.file, order.path, { replace: true }).then(
        () => 'done',
        (error: unknown) => (error instanceof StorageError ? error.code : String(error)),
      )
  }
}

for await (const order of messages<Order>()) say(JSON.stringify(await obey(order)))
