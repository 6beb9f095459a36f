/** Many clients use the same few rows at once, with single statements and whole transactions. */
import { integerFrom, randomFrom } from '../../faults/random.ts'
import { type Cell, type Cells, type Client, COUNTER, IDS } from './cells.ts'
import type { Happened, Version } from './history.ts'

type Random = () => number
const oneOf = <T>(random: Random, all: readonly T[]): T => all[integerFrom(random, 0, all.length - 1)] as T

/** Runs so many turns of each client, all clients at once. */
async function contend(
  clients: readonly Client[],
  options: { turns: number; seed: number },
  turn: (client: Client, random: Random) => Promise<void>,
): Promise<void> {
  await Promise.all(
    clients.map(async (client, index) => {
      const random = randomFrom(options.seed, index)
      for (let done = 0; done < options.turns; done++) await turn(client, random)
    }),
  )
}

export interface Bank {
  transfers: number
  deposits: number
  audits: number
  wrongAudits: number
}

/** Money goes from one account to another; whoever adds them all up finds as much as there was. */
export async function transferMoney(
  clients: readonly Client[],
  options: { turns: number; seed: number; total: number },
): Promise<Bank> {
  const bank: Bank = { transfers: 0, deposits: 0, audits: 0, wrongAudits: 0 }
  const audit = (values: readonly Cell[]): void => {
    bank.audits++
    if (values.reduce((sum, { value }) => sum + value, 0) !== options.total) bank.wrongAudits++
  }
  const accounts = (cells: ReadonlyMap<string, Cell>): Cell[] => IDS.flatMap((id) => cells.get(id) ?? [])
  const transfer = async (cells: Cells, from: string, to: string, amount: number): Promise<void> => {
    const [payer, payee] = [await cells.get(from), await cells.get(to)]
    await cells.set(from, payer.value - amount)
    await cells.set(to, payee.value + amount)
  }
  await contend(clients, options, async (client, random) => {
    const choice = random()
    const from = oneOf(random, IDS)
    const to = oneOf(
      random,
      IDS.filter((id) => id !== from),
    )
    const amount = integerFrom(random, 1, 20)
    if (choice < 0.4) {
      await client.transaction(async (cells) => {
        await transfer(cells, from, to, amount)
        if (choice < 0.1) await cells.add(COUNTER, 1)
      })
      bank.transfers++
      if (choice < 0.1) bank.deposits++
    } else if (choice < 0.6) {
      await client.add(COUNTER, 1)
      bank.deposits++
    } else if (choice < 0.8) {
      audit(accounts(await client.all()))
    } else {
      audit(
        await client.transaction(
          async (cells) => {
            const found: Cell[] = []
            for (const id of IDS) found.push(await cells.get(id))
            return found
          },
          { readOnly: true },
        ),
      )
    }
  })
  return bank
}

/** Everybody reads some rows and writes another one: alone, all of that is fine. */
export async function readAndWrite(
  clients: readonly Client[],
  options: { turns: number; seed: number },
): Promise<Happened[]> {
  const history: Happened[] = []
  let written = 0
  await contend(clients, options, async (client, random) => {
    const choice = random()
    const [first, second, third] = [oneOf(random, IDS), oneOf(random, IDS), oneOf(random, IDS)]
    if (choice < 0.2) history.push(await seen('get', client, async (cells) => void (await cells.get(first))))
    else if (choice < 0.35) history.push(await seen('all', client, async (cells) => void (await cells.all())))
    else if (choice < 0.5)
      history.push(await seen('set', client, async (cells) => void (await cells.set(first, ++written))))
    else {
      const readOnly = choice > 0.9
      const begun = performance.now()
      let attempt: Promise<Happened> | undefined
      const what = readOnly ? 'snapshot' : 'transaction'
      await client.transaction(
        async (cells) => {
          // It may be run again: only the last time counts.
          attempt = seen(what, cells, async (observed) => {
            if (choice < 0.6) await observed.all()
            else for (const id of [first, second]) await observed.get(id)
            if (!readOnly) await observed.set(third, ++written)
          })
          await attempt
        },
        { readOnly },
      )
      if (attempt !== undefined) history.push({ ...(await attempt), begun, ended: performance.now() })
    }
  })
  return history
}

/** Runs `work`, and says what it saw of others and what it wrote. */
async function seen(what: string, cells: Cells, work: (cells: Cells) => Promise<void>): Promise<Happened> {
  const begun = performance.now()
  const reads: Version[] = []
  const writes: Version[] = []
  const read = (id: string, { order }: Cell): void => {
    if (!writes.some((written) => written.id === id)) reads.push({ id, order })
  }
  await work({
    ...cells,
    get: async (id) => {
      const cell = await cells.get(id)
      read(id, cell)
      return cell
    },
    all: async () => {
      const all = await cells.all()
      for (const [id, cell] of all) if (id !== COUNTER) read(id, cell)
      return all
    },
    set: async (id, value) => {
      const cell = await cells.set(id, value)
      writes.push({ id, order: cell.order })
      return cell
    },
  })
  return { what, begun, ended: performance.now(), reads, writes }
}
