/** The answers that callers got: the judge compares them with what is there in the end. */

export interface Journal {
  /** `routesDiscovered` of the nodes that are this process's own; `null`: deleted. */
  readonly nodes: Record<string, number | null>
  readonly policies: Record<string, string>
  /** How much was added to the counters that everybody adds to. */
  readonly counted: Record<string, number>
  writes: number
  reads: number
  transactions: number
  /** The slowest write, from the call to its answer. */
  longest: { ms: number; what: string }
  /** The slowest write that began on the file and ended on PostgreSQL. */
  acrossMs: number
  /** Promises that were rejected, requests that were refused. */
  readonly rejected: string[]
  /** Reads that did not show what had been acknowledged to this process before. */
  readonly stale: string[]
}

export const emptyJournal = (): Journal => ({
  nodes: {},
  policies: {},
  counted: {},
  writes: 0,
  reads: 0,
  transactions: 0,
  longest: { ms: 0, what: '' },
  acrossMs: 0,
  rejected: [],
  stale: [],
})

/** Everybody adds to these: so many that not all wait for one. */
export const SHARED: readonly string[] = Array.from({ length: 16 }, (_, n) => `shared-${n}`)
