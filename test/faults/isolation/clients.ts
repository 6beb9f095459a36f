/** Many clients of a store at once, and the history of what they did and saw. */
import { type MeshNode, type Meshstore, type Repositories, StorageError } from '../../../src/index.ts'
import { manyNodes, node, numbered } from '../../support/samples.ts'
import { integerFrom, randomFrom } from '../random.ts'
import type { Balances, Bank, Read, Transfer } from './bank.ts'
import type { Step, Transaction } from './history.ts'

export const CLIENTS = 8
/** Long enough for every transaction, however often others are in its way. */
export const PATIENCE = { timeoutMs: 60_000 }

export interface Run<S = Meshstore> {
  /** On one database; the clients take turns with them. */
  readonly stores: readonly S[]
  readonly transactions: number
  readonly seed: number
}

export async function atOnce<S>({ stores, transactions, seed }: Run<S>, turn: Turn<S>): Promise<void> {
  let begun = 0
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      const random = randomFrom(seed, client)
      const store = stores[client % stores.length]
      if (store === undefined) throw new Error('There is no store.')
      while (begun < transactions) await turn(store, random, begun++, client)
    }),
  )
}

type Turn<S> = (store: S, random: () => number, number: number, client: number) => Promise<void>

/** Lists are kept short: after so many turns others take their place. */
const LISTS = 5
const TURNS_PER_LIST = 80
const listsFor = (transactions: number): number => LISTS * Math.ceil((transactions + CLIENTS) / TURNS_PER_LIST)
const keyAt = (turn: number, random: () => number): string =>
  numbered('list', Math.floor(turn / TURNS_PER_LIST) * LISTS + integerFrom(random, 0, LISTS - 1))

const listOf = (found: MeshNode | undefined): number[] => {
  if (found === undefined) throw new Error('A list is missing.')
  return found.interfaces.map(Number)
}

/** `careless`: reads and writes by themselves, as one must not: the checker must find what comes of it. */
export async function appendToLists(run: Run & { readonly careless?: boolean }) {
  const { stores, transactions, careless = false } = run
  const [store] = stores
  if (store === undefined) throw new Error('There is no store.')
  await store.nodes.createMany(manyNodes(listsFor(transactions), 'list').map((each) => ({ ...each, interfaces: [] })))
  const history: Transaction[] = []
  let values = 0
  await atOnce(run, async (client, random, turn) => {
    const plan = Array.from({ length: integerFrom(random, 1, 3) }, () => ({
      key: keyAt(turn, random),
      append: random() < 0.5,
    }))
    const how = random()
    const throws = how > 0.95
    /** Each time that it is run: only the last one may have been committed. */
    const attempts: Step[][] = []
    const work = async ({ nodes }: Repositories): Promise<void> => {
      const steps: Step[] = []
      attempts.push(steps)
      for (const { key, append } of plan) {
        const list = listOf(await nodes.get(key))
        steps.push({ do: 'read', key, list })
        if (!append) continue
        const value = ++values
        steps.push({ do: 'append', key, value })
        await nodes.update(key, { interfaces: [...list, value].map(String) })
      }
      if (throws) throw new Thrown()
    }
    const readAtOnce = async ({ nodes }: Repositories): Promise<void> => {
      const keys = [...new Set(plan.map(({ key }) => key))]
      const found = await nodes.getMany(keys)
      attempts.push(found.map((each) => ({ do: 'read', key: each.nodeId, list: listOf(each) })))
    }
    const begun = performance.now()
    const outcome = await outcomeOf(
      how < 0.2
        ? readAtOnce(client)
        : how < 0.3
          ? client.transaction(readAtOnce, { ...PATIENCE, readOnly: true })
          : careless
            ? work(client)
            : client.transaction(work, PATIENCE),
    )
    const ended = performance.now()
    const last = attempts.pop()
    for (const steps of attempts) history.push({ steps, begun, ended, outcome: 'aborted' })
    // Without a transaction, each step that was made stays.
    if (last !== undefined) history.push({ steps: last, begun, ended, outcome: careless ? 'committed' : outcome })
  })
  const final = new Map<string, number[]>()
  for await (const each of store.nodes.iterate()) final.set(each.nodeId, listOf(each))
  return { history, final }
}

export class Thrown extends Error {}

export async function outcomeOf(work: Promise<unknown>): Promise<Transaction['outcome']> {
  try {
    await work
    return 'committed'
  } catch (error) {
    if (error instanceof Thrown) return 'aborted'
    if (error instanceof StorageError) return error.code === 'OUTCOME_UNKNOWN' ? 'unknown' : 'aborted'
    throw error
  }
}

const ACCOUNTS = ['a', 'b', 'c', 'd', 'e', 'f']
const INITIAL = 100

export async function moveMoney(run: Run & { readonly careless?: boolean }): Promise<Bank> {
  const [store] = run.stores
  if (store === undefined) throw new Error('There is no store.')
  await store.nodes.createMany(ACCOUNTS.map((id) => node(id, { routesDiscovered: INITIAL, interfaces: [] })))
  const transfers: Transfer[] = []
  const reads: Read[] = []
  await atOnce(run, async (client, random) => {
    const begun = performance.now()
    if (random() < 0.4) {
      const found = random() < 0.5 ? await client.nodes.list() : await oneByOne(client)
      reads.push({ begun, balances: balancesOf(found), counts: countsOf(found) })
      return
    }
    const at = integerFrom(random, 0, ACCOUNTS.length - 1)
    const from = ACCOUNTS[at] ?? ''
    const to = ACCOUNTS[(at + integerFrom(random, 1, ACCOUNTS.length - 1)) % ACCOUNTS.length] ?? ''
    const amount = integerFrom(random, 1, 60)
    const work = async ({ nodes }: Repositories): Promise<void> => {
      const [payer, payee] = [await nodes.get(from), await nodes.get(to)]
      if (payer === undefined || payee === undefined) throw new Error('An account is missing.')
      if (payer.routesDiscovered < amount) throw new Thrown()
      await nodes.update(from, moved(payer, -amount))
      await nodes.update(to, moved(payee, amount))
    }
    const outcome = await outcomeOf(run.careless === true ? work(client) : client.transaction(work, PATIENCE))
    if (outcome === 'unknown') throw new Error('Nothing broke the connection, and the outcome is unknown.')
    transfers.push({ from, to, amount, begun, ended: performance.now(), outcome })
  })
  const final = balancesOf(await store.nodes.list())
  return { accounts: ACCOUNTS, initial: INITIAL, transfers, reads, final }
}

/** The account counts its transfers, too. */
const moved = ({ routesDiscovered, interfaces }: MeshNode, by: number) => ({
  routesDiscovered: routesDiscovered + by,
  interfaces: [String(countIn(interfaces) + 1)],
})

const countIn = ([count = '0']: readonly string[]): number => Number(count)

const balancesOf = (nodes: readonly MeshNode[]): Balances =>
  new Map(nodes.map(({ nodeId, routesDiscovered }) => [nodeId, routesDiscovered]))
const countsOf = (nodes: readonly MeshNode[]): Balances =>
  new Map(nodes.map(({ nodeId, interfaces }) => [nodeId, countIn(interfaces)]))

const oneByOne = (store: Meshstore): Promise<MeshNode[]> =>
  store.transaction(
    async ({ nodes }) => {
      const found: MeshNode[] = []
      for (const id of ACCOUNTS) found.push(...(await nodes.getMany([id])))
      return found
    },
    { ...PATIENCE, readOnly: true },
  )
