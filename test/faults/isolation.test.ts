/**
 * Many clients at once, on each dialect: whatever they saw and did could have happened one after the other, and nothing before
 * what was over when it began. The checkers are tested in isolation-checkers.test.ts.
 */
import { describe, expect, test } from 'vitest'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { bound, SEED } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { checkBank } from './isolation/bank.ts'
import { appendToLists, moveMoney } from './isolation/clients.ts'
import { check } from './isolation/list-append.ts'
import { shows } from './shown.ts'

const TRANSACTIONS = bound('ISOLATION_TRANSACTIONS', { brief: 1_000, short: 6_000, long: 100_000 })
const TIMEOUT = { timeout: 600_000 + TRANSACTIONS * 30 }
/** Until something is found: what is let happen need not happen at once. */
const CONTROL_ROUNDS = 20
const CONTROL_TRANSACTIONS = 400

interface Opened extends AsyncDisposable {
  readonly stores: readonly Meshstore[]
}

function suite(dialect: string, open: () => Promise<Opened>): void {
  test('lists that are appended to', TIMEOUT, async () => {
    await using opened = await open()
    const { history, final } = await appendToLists({ ...opened, transactions: TRANSACTIONS, seed: SEED })
    const committed = history.filter(({ outcome }) => outcome === 'committed').length
    console.log(`lists, ${dialect}, SEED=${SEED}: ${committed} of ${history.length} committed`)
    expect(check(history, final)).toEqual([])
    expect(history.length).toBeGreaterThanOrEqual(TRANSACTIONS)
    expect(committed).toBeGreaterThan(TRANSACTIONS * 0.8)
    expect(committed).toBeLessThan(history.length)
    shows(`${dialect}: ${history.length} transactions on lists, ${committed} committed, none out of order`)
  })

  test('accounts between which money is moved', TIMEOUT, async () => {
    await using opened = await open()
    const bank = await moveMoney({ ...opened, transactions: TRANSACTIONS, seed: SEED })
    const committed = bank.transfers.filter(({ outcome }) => outcome === 'committed').length
    const figures = `${committed} of ${bank.transfers.length} transfers, ${bank.reads.length} reads`
    console.log(`accounts, ${dialect}, SEED=${SEED}: ${figures}`)
    expect(checkBank(bank)).toEqual([])
    expect(bank.transfers.length + bank.reads.length).toBeGreaterThanOrEqual(TRANSACTIONS)
    expect(Math.min(committed, bank.transfers.length - committed, bank.reads.length)).toBeGreaterThan(TRANSACTIONS / 50)
    shows(`${dialect}: ${figures}, no sum is wrong`)
  })

  test('without transactions, the same is out of order', TIMEOUT, async () => {
    let [lists, accounts] = [0, 0]
    for (let round = 0; round < CONTROL_ROUNDS && (lists === 0 || accounts === 0); round++) {
      const run = { transactions: CONTROL_TRANSACTIONS, seed: SEED + round, careless: true }
      await using forLists = await open()
      const { history, final } = await appendToLists({ ...forLists, ...run })
      lists += check(history, final).length
      await using forAccounts = await open()
      accounts += checkBank(await moveMoney({ ...forAccounts, ...run })).length
    }
    expect(lists).toBeGreaterThan(0)
    expect(accounts).toBeGreaterThan(0)
  })
}

async function openAt(url: string, remove: () => void | PromiseLike<void>): Promise<Opened> {
  const options = { url, pathCache: { invalidation: 'manual' } } as const
  const stores = [await openStorage(options), await openStorage(options)]
  return {
    stores,
    [Symbol.asyncDispose]: async () => {
      for (const store of stores) await store.close()
      await remove()
    },
  }
}

describe('on SQLite', () => {
  suite('SQLite', () => {
    const folder = temporaryFolder()
    return openAt(folder.file('mesh.db'), () => folder[Symbol.dispose]())
  })
})

describePostgres('on PostgreSQL', () => {
  suite('PostgreSQL', async () => {
    const database = await createDatabase()
    return openAt(database.url, () => database[Symbol.asyncDispose]())
  })
})
