/** Batches reads by key: the reads of one turn of the event loop become one statement. */
import { DECODING_MS, EventLoopYield } from '../../event-loop.ts'
import type { BoundStatement, Bulk, Compiled } from '../statement.ts'
import { keyOf } from './bulk.ts'

const MOST_READS = 250

type Row = readonly unknown[]
type Ask = <R>(bound: BoundStatement<R>) => Promise<R[]>

interface Read {
  readonly bound: BoundStatement<unknown>
  readonly resolve: (rows: never) => void
  readonly reject: (error: unknown) => void
}

/** Reads that differ only in their keys. */
interface Together {
  readonly bulk: Bulk<unknown>
  readonly reads: Read[]
}

/** All reads of a batch share a snapshot that is later than their calls. Each caller decodes its own row. */
export class ReadBatcher {
  readonly #ask: Ask
  #waiting = new Map<string, Together>()

  constructor(ask: Ask) {
    this.#ask = ask
  }

  read<R>(bulk: Bulk<R>, bound: BoundStatement<R>): Promise<R[]> {
    return new Promise((resolve, reject) => this.#add(bulk, { bound, resolve, reject }))
  }

  #add(bulk: Bulk<unknown>, read: Read): void {
    // A microtask: a single read does not wait.
    if (this.#waiting.size === 0) queueMicrotask(() => this.#askAll())
    const others = read.bound.values.filter((_, at) => at !== bulk.keyAt)
    const name = others.length === 0 ? bulk.compiled.name : `${bulk.compiled.name} ${JSON.stringify(others)}`
    const together = this.#waiting.get(name)
    if (together === undefined) this.#waiting.set(name, { bulk, reads: [read] })
    else together.reads.push(read)
  }

  #askAll(): void {
    const waiting = this.#waiting
    this.#waiting = new Map()
    for (const { bulk, reads } of waiting.values()) {
      for (let from = 0; from < reads.length; from += MOST_READS) {
        const some = reads.slice(from, from + MOST_READS)
        void (some.length === 1 ? this.#singly(some) : this.#together(bulk, some))
      }
    }
  }

  async #together(bulk: Bulk<unknown>, reads: readonly Read[]): Promise<void> {
    const byKey = new Map<unknown, Read[]>()
    for (const read of reads) {
      const key = keyOf(bulk, read.bound)
      const same = byKey.get(key)
      if (same === undefined) byKey.set(key, [read])
      else same.push(read)
    }
    let rows: Row[]
    try {
      rows = await this.#ask(asked(bulk, reads, [...byKey.keys()]))
    } catch {
      // One read may be at fault: run each alone, so that it gets its own error.
      await this.#singly(reads)
      return
    }
    const yielding = new EventLoopYield(DECODING_MS)
    for (const row of rows) {
      if (yielding.isDue()) await yielding.now()
      const key = row[bulk.rowKeyAt]
      for (const [index, read] of (byKey.get(key) ?? []).entries()) decode(bulk.compiled, read, row, index > 0)
      byKey.delete(key)
    }
    for (const same of byKey.values()) for (const { resolve } of same) resolve([] as never)
  }

  async #singly(reads: readonly Read[]): Promise<void> {
    await Promise.all(
      reads.map(({ bound, resolve, reject }) => this.#ask(bound).then((rows) => resolve(rows as never), reject)),
    )
  }
}

/** The statement for all keys, whose rows stay undecoded. */
function asked({ raw, keyAt }: Bulk<unknown>, [first]: readonly Read[], keys: unknown[]): BoundStatement<Row> {
  return { compiled: raw, values: first?.bound.values.map((value, at) => (at === keyAt ? keys : value)) ?? [] }
}

/** `copied`: another caller already has the row's objects. */
function decode({ decode }: Compiled<never, unknown>, { resolve, reject }: Read, row: Row, copied: boolean): void {
  try {
    resolve([decode?.(copied ? structuredClone(row) : row)] as never)
  } catch (error) {
    reject(error)
  }
}
