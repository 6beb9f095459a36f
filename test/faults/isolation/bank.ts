/** Anomalies that histories of accounts must not show, between which money is moved while readers sum all at once. */
import type { Found } from './history.ts'

export const BANK_ANOMALIES = [
  /** The money is not all there, or there is more of it. */
  'wrong total',
  'missing account',
  /** It was not allowed. */
  'overdrawn',
  /** In the end, a transfer that was acknowledged has not happened, or one that was refused has. */
  'lost transfer',
  /** A reader sees less than what had been acknowledged before it began. */
  'stale read',
] as const
export type BankAnomaly = (typeof BANK_ANOMALIES)[number]

export type Balances = ReadonlyMap<string, number>

export interface Transfer {
  readonly from: string
  readonly to: string
  readonly amount: number
  readonly begun: number
  readonly ended: number
  readonly outcome: 'committed' | 'aborted'
}

export interface Read {
  readonly begun: number
  readonly balances: Balances
  /** How many transfers each account has seen, by its own count. */
  readonly counts: Balances
}

export interface Bank {
  readonly accounts: readonly string[]
  readonly initial: number
  readonly transfers: readonly Transfer[]
  readonly reads: readonly Read[]
  readonly final: Balances
}

export function checkBank({ accounts, initial, transfers, reads, final }: Bank): Found<BankAnomaly>[] {
  const found: Found<BankAnomaly>[] = []
  const add = (anomaly: BankAnomaly, at: number, what: string): void =>
    void found.push({ anomaly, transactions: [at], what })
  const total = accounts.length * initial
  const look = (at: number, balances: Balances): void => {
    const missing = accounts.find((account) => !balances.has(account))
    if (missing !== undefined) add('missing account', at, missing)
    const sum = [...balances.values()].reduce((all, balance) => all + balance, 0)
    if (missing === undefined && sum !== total) add('wrong total', at, `${sum} in place of ${total}`)
    for (const [account, balance] of balances) if (balance < 0) add('overdrawn', at, `${account} has ${balance}`)
  }
  for (const [at, { balances }] of reads.entries()) look(at, balances)
  look(-1, final)

  const committed = transfers.filter(({ outcome }) => outcome === 'committed')
  for (const account of accounts) {
    const moved = committed.reduce(
      (sum, { from, to, amount }) => sum + (to === account ? amount : 0) - (from === account ? amount : 0),
      0,
    )
    const balance = final.get(account)
    if (balance !== undefined && balance !== initial + moved)
      add('lost transfer', -1, `${account} has ${balance} in place of ${initial + moved}`)
  }
  found.push(...staleReads(reads, committed))
  return found
}

/** Each account counts its transfers: a reader must see at least those that were acknowledged before it began. */
function staleReads(reads: readonly Read[], committed: readonly Transfer[]): Found<BankAnomaly>[] {
  const found: Found<BankAnomaly>[] = []
  const byEnd = committed.toSorted((a, b) => a.ended - b.ended)
  const counts = new Map<string, number>()
  let over = 0
  for (const [at, { begun, counts: seen }] of [...reads.entries()].toSorted(([, a], [, b]) => a.begun - b.begun)) {
    for (let transfer = byEnd[over]; transfer !== undefined && transfer.ended < begun; transfer = byEnd[++over]) {
      for (const account of [transfer.from, transfer.to]) counts.set(account, (counts.get(account) ?? 0) + 1)
    }
    for (const [account, least] of counts) {
      if ((seen.get(account) ?? least) < least)
        found.push({ anomaly: 'stale read', transactions: [at], what: `${account}: ${seen.get(account)} of ${least}` })
    }
  }
  return found
}
