/** The load's knowledge of its calls, and what the database must hold after them. */
import { StorageError } from '../../../src/index.ts'

export type Outcome = 'done' | 'unknown' | 'refused'

interface Row {
  /** When the call that adds it began. */
  readonly begun: number
  outcome: Outcome | undefined
}

export interface CallFigures {
  calls: number
  /** Calls that failed, by code and by the code of the cause. */
  readonly errors: Record<string, number>
  longestMs: number
  /** Which call took longest. */
  longest: string
  /** The times in which no write succeeded. */
  readonly gaps: Gap[]
}

export interface Gap {
  readonly ms: number
  /** Milliseconds since 1970. */
  readonly end: number
}

/** Shorter ones are the load's own pauses. */
const GAP_MS = 100

export class Truth {
  readonly rows = new Map<string, Row>()
  readonly counted = new Map<string, { done: number; unknown: number }>()
  readonly figures: CallFigures = { calls: 0, errors: {}, longestMs: 0, longest: '', gaps: [] }
  written = 0
  #lastWrite = 0

  /** Follows a call that adds these rows and adds 1 to this counter, all or nothing. */
  async write(
    what: string,
    keys: readonly string[],
    counter: string | undefined,
    call: () => Promise<unknown>,
  ): Promise<Outcome> {
    const rows = keys.map((key) => {
      const row: Row = { begun: Date.now(), outcome: undefined }
      this.rows.set(key, row)
      return row
    })
    const outcome = await this.follow(what, call)
    for (const row of rows) row.outcome = outcome
    if (counter !== undefined) {
      const counted = this.counted.get(counter) ?? { done: 0, unknown: 0 }
      if (outcome !== 'refused') counted[outcome]++
      this.counted.set(counter, counted)
    }
    if (outcome === 'done') this.#note()
    return outcome
  }

  async follow(what: string, call: () => Promise<unknown>): Promise<Outcome> {
    const begun = performance.now()
    this.figures.calls++
    try {
      await call()
      return 'done'
    } catch (error) {
      if (!(error instanceof Error && 'code' in error)) throw error
      const code = String(error.code)
      const name = [code, causeOf(error)].filter(Boolean).join('/')
      this.figures.errors[name] = (this.figures.errors[name] ?? 0) + 1
      return code === 'OUTCOME_UNKNOWN' ? 'unknown' : 'refused'
    } finally {
      const took = performance.now() - begun
      if (took > this.figures.longestMs) Object.assign(this.figures, { longestMs: took, longest: what })
    }
  }

  #note(): void {
    const now = Date.now()
    this.written++
    const ms = now - this.#lastWrite
    if (this.#lastWrite > 0 && ms > GAP_MS) this.figures.gaps.push({ ms, end: now })
    this.#lastWrite = now
  }

  /** Compares with all that is there. */
  judge(there: ReadonlySet<string>, counters: ReadonlyMap<string, number>): Judgement {
    const keys = (outcome: Outcome, isThere: boolean): number =>
      [...this.rows].filter(([key, row]) => row.outcome === outcome && there.has(key) === isThere).length
    const wrong = [...this.counted].filter(([counter, { done, unknown }]) => {
      const found = counters.get(counter) ?? -1
      return found < done || found > done + unknown
    })
    return {
      acknowledged: this.written,
      lost: keys('done', false),
      doubtful: keys('unknown', true) + keys('unknown', false),
      refusedButThere: keys('refused', true),
      wrongCounters: wrong.map(
        ([counter, { done, unknown }]) =>
          `${counter}: ${done} done, ${unknown} unknown, ${counters.get(counter)} there`,
      ),
    }
  }
}

export interface Judgement {
  readonly acknowledged: number
  readonly lost: number
  /** Rows of calls that failed with OUTCOME_UNKNOWN. */
  readonly doubtful: number
  readonly refusedButThere: number
  readonly wrongCounters: readonly string[]
}

function causeOf(error: Error): string {
  let cause: unknown = error
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause
  if (cause === error || !(cause instanceof Error)) return ''
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name
}

export const isMissed = (error: unknown): boolean => error instanceof StorageError && error.code === 'CHANGES_MISSED'
