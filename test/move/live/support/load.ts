/**
 * An application's load on a store: so many operations a second, though others be under way. Each promise is
 * recorded.
 */
import { type Meshstore, StorageError } from '../../../../src/index.ts'
import { integerFrom, randomFrom } from '../../../faults/random.ts'
import { emptyJournal, type Journal, SHARED } from './journal.ts'

const TICK_MS = 5
const OWN = 20
/** Behind that, callers wait for some of theirs: a machine that cannot keep up must not pile up work without bound. */
const MOST_UNDER_WAY = 40
/** A transaction that is given up on says so, and is no fault of the move. */
const TRANSACTION = { timeoutMs: 60_000 }

interface Own {
  issued: number
  acknowledged: number
}

export class Load {
  readonly journal: Journal = emptyJournal()
  readonly #store: Meshstore
  readonly #prefix: string
  readonly #random: () => number
  readonly #own: Own[] = Array.from({ length: OWN }, () => ({ issued: 0, acknowledged: 0 }))
  readonly #created: string[] = []
  readonly #open = new Set<Promise<void>>()
  #count = 0
  #timer: NodeJS.Timeout | undefined
  #pair = 0

  constructor(store: Meshstore, prefix: string, seed: number) {
    this.#store = store
    this.#prefix = prefix
    this.#random = randomFrom(seed)
  }

  /** Operations a second. */
  start(perSecond: number): void {
    const begun = performance.now()
    let issued = 0
    this.#timer = setInterval(() => {
      const due = ((performance.now() - begun) / 1_000) * perSecond
      for (; issued < due; issued++) if (this.#open.size < MOST_UNDER_WAY) this.#next()
    }, TICK_MS)
  }

  async stop(): Promise<Journal> {
    clearInterval(this.#timer)
    while (this.#open.size > 0) await Promise.all(this.#open)
    return this.journal
  }

  #next(): void {
    const choice = this.#random()
    if (choice < 0.3) this.#saveOwn()
    else if (choice < 0.5) this.#create()
    else if (choice < 0.55) this.#delete()
    else if (choice < 0.62) this.#count1()
    else if (choice < 0.66) this.#transaction()
    else if (choice < 0.71) this.#policy()
    else if (choice < 0.76) this.#paths()
    else if (choice < 0.8) this.#snapshot()
    else this.#read()
  }

  #track(what: string, promise: Promise<unknown>, done: () => void = () => {}): void {
    const settled = promise.then(done, (error: unknown) => {
      this.journal.rejected.push(`${what}: ${error instanceof StorageError ? `${error.code} ${error.message}` : error}`)
    })
    this.#open.add(settled)
    settled.finally(() => this.#open.delete(settled))
  }

  #write(what: string, promise: Promise<unknown>, done: () => void): void {
    const [since, from] = [performance.now(), this.#store.dialect]
    this.#track(what, promise, () => {
      const ms = performance.now() - since
      if (from !== this.#store.dialect) this.journal.acrossMs = Math.max(this.journal.acrossMs, ms)
      if (ms > this.journal.longest.ms)
        this.journal.longest = { ms, what: `${what}, begun on ${from}, ended on ${this.#store.dialect}` }
      this.journal.writes++
      done()
    })
  }

  #name = (kind: string): string => `${this.#prefix}-${kind}-${this.#count++}`
  #ownName = (at: number): string => `${this.#prefix}-own-${at}`

  /** Many of one key are under way at a time: the last one stays. */
  #saveOwn(): void {
    const at = integerFrom(this.#random, 0, OWN - 1)
    const own = this.#own[at] as Own
    const turn = ++own.issued
    const id = this.#ownName(at)
    const saved = this.#store.nodes.save({ nodeId: id, interfaces: [], protocols: ['olsr'], routesDiscovered: turn })
    this.#write(`save ${id} ${turn}`, saved, () => {
      own.acknowledged = Math.max(own.acknowledged, turn)
      this.journal.nodes[id] = own.acknowledged
    })
  }

  #create(): void {
    const nodeId = this.#name('new')
    this.#write(`create ${nodeId}`, this.#store.nodes.create({ nodeId, interfaces: ['a'], protocols: [] }), () => {
      this.#created.push(nodeId)
      this.journal.nodes[nodeId] = 0
    })
  }

  #delete(): void {
    const [nodeId] = this.#created.splice(integerFrom(this.#random, 0, 10), 1)
    if (nodeId === undefined) return
    const deleted = this.#store.nodes.delete(nodeId).then((found) => {
      if (!found) throw new Error('It was not there.')
    })
    this.#write(`delete ${nodeId}`, deleted, () => {
      this.journal.nodes[nodeId] = null
    })
  }

  #count1(): void {
    const id = this.#shared()
    const amount = integerFrom(this.#random, 1, 3)
    this.#write(`count ${id}`, this.#store.nodes.recordRoutes(id, amount), () => this.#counted(id, amount))
  }

  #shared = (): string => SHARED[integerFrom(this.#random, 0, SHARED.length - 1)] as string

  #pairName(): [string, string] {
    const n = integerFrom(this.#random, 0, 9)
    return [`${this.#prefix}-${n}-left`, `${this.#prefix}-${n}-right`]
  }

  #counted(id: string, amount: number): void {
    this.journal.counted[id] = (this.journal.counted[id] ?? 0) + amount
  }

  /** A row, a count and a pair, or none of them. */
  #transaction(): void {
    const nodeId = this.#name('tx')
    const turn = ++this.#pair
    const [pair, shared] = [this.#pairName(), this.#shared()]
    const work = this.#store.transaction(async (tx) => {
      await tx.nodes.create({ nodeId, interfaces: [], protocols: [] })
      await tx.nodes.recordRoutes(shared)
      for (const each of pair)
        await tx.nodes.save({ nodeId: each, interfaces: [], protocols: [], routesDiscovered: turn })
    }, TRANSACTION)
    this.#write(`transaction ${nodeId}`, work, () => {
      this.journal.transactions++
      this.journal.nodes[nodeId] = 0
      this.#counted(shared, 1)
    })
  }

  /** A reader sees both rows of a pair or none. */
  #snapshot(): void {
    const pair = this.#pairName()
    const read = this.#store.transaction(
      async (tx) => {
        const [left, right] = [await tx.nodes.get(pair[0]), await tx.nodes.get(pair[1])]
        if (left?.routesDiscovered !== right?.routesDiscovered)
          this.journal.stale.push(`${pair}: half of a transaction`)
      },
      { ...TRANSACTION, readOnly: true },
    )
    this.#track(`read ${pair}`, read, () => this.journal.reads++)
  }

  #policy(): void {
    const policyId = `${this.#prefix}-policy-${integerFrom(this.#random, 0, 4)}`
    const turn = this.#count++
    const yamlContent = `turn: ${turn}\n`
    this.#write(`save ${policyId}`, this.#store.policies.save({ policyId, yamlContent }), () => {
      const before = Number(this.journal.policies[policyId]?.slice('turn: '.length) ?? -1)
      if (turn > before) this.journal.policies[policyId] = yamlContent
    })
  }

  #paths(): void {
    const key = { source: this.#prefix, destination: `d-${integerFrom(this.#random, 0, 50)}`, k: 1 }
    const bundle = { source: key.source, destination: key.destination, primary: [] }
    const found = this.#store.pathCache.getOrCompute(key, async () => bundle, { ttlSeconds: 1 })
    this.#track(`paths to ${key.destination}`, found, () => this.journal.reads++)
  }

  /** A write that was acknowledged here is seen here. */
  #read(): void {
    const at = integerFrom(this.#random, 0, OWN - 1)
    const own = this.#own[at] as Own
    const least = own.acknowledged
    const read = this.#store.nodes.get(this.#ownName(at)).then((node) => {
      const turn = node?.routesDiscovered ?? 0
      if (turn < least || turn > own.issued)
        this.journal.stale.push(`${this.#ownName(at)}: ${turn}, not ${least} or more`)
    })
    this.#track(`get ${this.#ownName(at)}`, read, () => this.journal.reads++)
  }
}
