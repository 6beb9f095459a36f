/**
 * Many clients on the same few rows, on each dialect: no sum is wrong, no update is lost, and what was seen can be put
 * into an order, one after the other.
 */
import { describe, expect, test } from 'vitest'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { bound, SEED } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { type Client, COUNTER, clientOf, createCells, IDS, readCommitted } from './support/cells.ts'
import { readAndWrite, transferMoney } from './support/contenders.ts'
import { createDatabase } from './support/database.ts'
import { disordered, type Happened } from './support/history.ts'
import { describePostgres } from './support/suite.ts'

const CLIENTS = 8
const TURNS = bound('ISOLATION_TURNS', { brief: 100, short: 400, long: 10_000 })
const BALANCE = 1_000
const TOTAL = IDS.length * BALANCE

interface Opened extends AsyncDisposable {
  readonly store: Meshstore
  /** As many of them work through one store as through another on the same database. */
  readonly clients: readonly Client[]
}

async function open(url: string, balance: number, remove: () => Promise<void> | void): Promise<Opened> {
  const stores = [await openStorage(url), await openStorage(url)] as const
  await createCells(stores[0], balance)
  const clients = Array.from({ length: CLIENTS }, (_, index) => clientOf(stores[index % 2 === 0 ? 0 : 1]))
  return {
    store: stores[0],
    clients,
    [Symbol.asyncDispose]: async () => {
      for (const store of stores) await store.close()
      await remove()
    },
  }
}

const count = (history: readonly Happened[], what: string): number =>
  history.filter((each) => each.what === what).length

function suite(dialect: string, openDialect: (balance: number) => Promise<Opened>): void {
  test('no sum is wrong, and no update is lost', async () => {
    await using opened = await openDialect(BALANCE)
    const bank = await transferMoney(opened.clients, { turns: TURNS, seed: SEED, total: TOTAL })
    console.log(`${dialect}, SEED=${SEED}: ${JSON.stringify(bank)}`)
    expect(Math.min(bank.transfers, bank.deposits, bank.audits)).toBeGreaterThan((CLIENTS * TURNS) / 10)
    expect(bank.wrongAudits).toBe(0)
    const rows = await opened.store.nodes.list()
    const sum = rows.reduce((all, { nodeId, routesDiscovered }) => all + (nodeId === COUNTER ? 0 : routesDiscovered), 0)
    expect(sum).toBe(TOTAL)
    expect((await opened.store.nodes.get(COUNTER))?.routesDiscovered).toBe(BALANCE + bank.deposits)
  })

  test('what was seen can be put into an order', async () => {
    await using opened = await openDialect(0)
    const history = await readAndWrite(opened.clients, { turns: TURNS, seed: SEED })
    const kinds = ['get', 'all', 'set', 'snapshot', 'transaction'].map((what) => `${count(history, what)} × ${what}`)
    console.log(`${dialect}, SEED=${SEED}: ${kinds.join(', ')}`)
    expect(history.length).toBe(CLIENTS * TURNS)
    expect(disordered(history)).toBe(0)
  })
}

describe('isolation on SQLite', () => {
  suite('SQLite', async (balance) => {
    const folder = temporaryFolder()
    return open(`sqlite:${folder.file('mesh.db')}`, balance, () => folder[Symbol.dispose]())
  })
})

describePostgres('isolation on PostgreSQL', () => {
  suite('PostgreSQL', async (balance) => {
    const database = await createDatabase()
    return open(database.url, balance, async () => database[Symbol.asyncDispose]())
  })

  /** Until something was found: what is let happen need not happen at once. */
  const ROUNDS = 20

  test('in READ COMMITTED, wrong sums are found', async () => {
    await using database = await createDatabase()
    await using opened = await open(database.url, BALANCE, () => {})
    const clients = await rawClients(database)
    let wrong = 0
    for (let round = 0; round < ROUNDS && wrong === 0; round++) {
      const bank = await transferMoney(clients, { turns: 25, seed: SEED + round, total: TOTAL })
      wrong = bank.wrongAudits
    }
    expect(wrong).toBeGreaterThan(0)
    expect(opened.clients).toHaveLength(CLIENTS)
  })

  test('in READ COMMITTED, what cannot be put into an order is found', async () => {
    await using database = await createDatabase()
    await using opened = await open(database.url, 0, () => {})
    const clients = await rawClients(database)
    let found = 0
    for (let round = 0; round < ROUNDS && found === 0; round++) {
      found = disordered(await readAndWrite(clients, { turns: 25, seed: SEED + round }))
    }
    expect(found).toBeGreaterThan(0)
    expect(opened.clients).toHaveLength(CLIENTS)
  })

  async function rawClients(database: Awaited<ReturnType<typeof createDatabase>>): Promise<Client[]> {
    return Promise.all(Array.from({ length: CLIENTS }, async () => readCommitted(await database.client())))
  }
})
