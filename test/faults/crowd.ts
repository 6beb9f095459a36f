/** One of many processes on a file: opens it, writes transactions, or only looks in; says what came of it. */
import { type Meshstore, type NewMeshNode, openStorage, StorageError } from '../../src/index.ts'
import { messages, say } from '../sqlite/support/messages.ts'

export type Order =
  | {
      readonly do: 'write'
      readonly path: string
      readonly prefix: string
      readonly count: number
      /** Without transactions. */
      readonly careless: boolean
    }
  /** Opens it when the moment comes, adds a node, and closes it. */
  | { readonly do: 'visit'; readonly path: string; readonly prefix: string; readonly at: number }

/** Transactions, by what they came to. */
export type Outcomes = Record<string, number>

const IN_FLIGHT = 20
/** Fifteen others are before it, each with its own transactions. */
const PATIENCE = { busyTimeoutMs: 600_000, timeoutMs: 600_000 }

const codeOf = (error: unknown): string => (error instanceof StorageError ? error.code : String(error))

async function write({ path, prefix, count, careless }: Extract<Order, { do: 'write' }>): Promise<Outcomes> {
  const outcomes: Outcomes = {}
  await using store = await openStorage({ url: path, busyTimeoutMs: PATIENCE.busyTimeoutMs })
  let next = 0
  const lane = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) {
      const own = { nodeId: `${prefix}-${index}`, interfaces: [prefix], protocols: [] }
      const work = careless
        ? inSteps(store, own)
        : store.transaction(
            async (tx) => {
              await tx.nodes.create(own)
              await tx.nodes.recordRoutes('shared')
            },
            { timeoutMs: PATIENCE.timeoutMs },
          )
      const outcome = await work.then(() => 'done', codeOf)
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  return outcomes
}

/** Somebody else may count between the one and the other. */
async function inSteps({ nodes }: Meshstore, own: NewMeshNode): Promise<void> {
  await nodes.create(own)
  const found = await nodes.get('shared')
  await nodes.update('shared', { routesDiscovered: (found?.routesDiscovered ?? 0) + 1 })
}

async function visit({ path, prefix, at }: Extract<Order, { do: 'visit' }>): Promise<Outcomes> {
  // All of them at the same moment: a timer would spread them.
  while (Date.now() < at);
  try {
    const store = await openStorage({ url: path, busyTimeoutMs: PATIENCE.busyTimeoutMs })
    await store.nodes.create({ nodeId: prefix, interfaces: [], protocols: [] })
    await store.close()
    return { done: 1 }
  } catch (error) {
    return { [codeOf(error)]: 1 }
  }
}

for await (const order of messages<Order>()) say(await (order.do === 'write' ? write(order) : visit(order)))
