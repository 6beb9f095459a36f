/** A history: the calls of many clients at once, and what each of them saw. */

export type Step =
  /** A list as it was read. */
  | { readonly do: 'read'; readonly key: string; readonly list: readonly number[] }
  /** A number that occurs once in the whole history, put behind all that is there. */
  | { readonly do: 'append'; readonly key: string; readonly value: number }

export interface Transaction {
  readonly steps: readonly Step[]
  readonly begun: number
  readonly ended: number
  /** `'unknown'`: nobody told the client. */
  readonly outcome: 'committed' | 'aborted' | 'unknown'
}

/** An anomaly, and its transactions, by their place in the history. */
export interface Found<Anomaly extends string> {
  readonly anomaly: Anomaly
  readonly transactions: readonly number[]
  readonly what: string
}
