/** Another process on the same file: does what it is told, one thing after the other, and says what came of it. */
import Sqlite from 'better-sqlite3'
import { type Meshstore, openStorage, StorageError, type StorageOptions } from '../../../src/index.ts'
import { messages, say } from '../support/messages.ts'

export type Order =
  /** Opens the store, and leaves it open. */
  | { readonly do: 'open'; readonly options: StorageOptions }
  /** Opens a store, adds a node, and closes it. */
  | { readonly do: 'visit'; readonly path: string; readonly nodeId: string }
  /** Adds so many nodes of its own, counts each on `shared`, and counts some more in transactions on `pages`. */
  | { readonly do: 'write'; readonly prefix: string; readonly count: number }
  | { readonly do: 'get'; readonly nodeId: string }
  /** Holds the file's write lock. */
  | { readonly do: 'lock'; readonly path: string }
  | { readonly do: 'unlock' }
  | { readonly do: 'close' }

/** How often each outcome came: what was done, or the error's code. */
export type Outcomes = Record<string, number>

const IN_FLIGHT = 200
const TRANSACTION_EVERY = 20

let store: Meshstore | undefined
let locked: Sqlite.Database | undefined

function opened(): Meshstore {
  if (store === undefined) throw new Error('It has not been told to open a store.')
  return store
}

async function write(prefix: string, count: number): Promise<Outcomes> {
  const outcomes: Outcomes = {}
  const tried = async (writing: Promise<unknown>): Promise<void> => {
    const outcome = await writing.then(() => 'done', codeOf)
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
  }
  const { nodes } = opened()
  let next = 0
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      await tried(nodes.create({ nodeId: `${prefix}-${index}`, interfaces: [prefix], protocols: [] }))
      await tried(nodes.recordRoutes('shared'))
      if (index % TRANSACTION_EVERY === 0) await tried(countPages())
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  return outcomes
}

/** Reads, then writes what it read, and one more. */
async function countPages(): Promise<void> {
  await opened().transaction(
    async (tx) => {
      const node = await tx.nodes.get('pages')
      await tx.nodes.update('pages', { routesDiscovered: (node?.routesDiscovered ?? 0) + 1 })
    },
    { timeoutMs: 60_000 },
  )
}

const codeOf = (error: unknown): string => (error instanceof StorageError ? error.code : String(error))

async function visit(path: string, nodeId: string): Promise<string> {
  try {
    const visited = await openStorage(path)
    await visited.nodes.create({ nodeId, interfaces: [], protocols: [] })
    await visited.close()
    return 'done'
  } catch (error) {
    return `${codeOf(error)}: ${error}`
  }
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'open':
      store = await openStorage(order.options)
      return 'done'
    case 'visit':
      return visit(order.path, order.nodeId)
    case 'write':
      return write(order.prefix, order.count)
    case 'get':
      return (await opened().nodes.get(order.nodeId)) ?? null
    case 'lock':
      locked = new Sqlite(order.path)
      locked.exec('BEGIN IMMEDIATE')
      return 'done'
    case 'unlock':
      locked?.exec('COMMIT')
      locked?.close()
      return 'done'
    case 'close':
      await opened().close()
      return 'done'
  }
}

for await (const order of messages<Order>()) say(JSON.stringify(await obey(order)))
