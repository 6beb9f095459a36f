/**
 * Judges histories of rows that are created, changed, deleted and looked for, whatever came of each call. An audit that the
 * database keeps tells the order of each row's versions. A call that found nothing, or something that it did not see in full,
 * fits several of them: it comes behind the first that fits and before what follows the last.
 */
import { addTime, CYCLES, classify, type Why } from './cycles.ts'
import { Graph } from './graph.ts'
import type { Found, Transaction } from './history.ts'

/** A row as a text that occurs once; `null`: it is not there. The last character says whether a filter finds it. */
export type Version = string | null

export type Seen =
  | { readonly is: 'version'; readonly version: Version }
  /** It is there, and if `not` is given, not as in any version that begins so. */
  | { readonly is: 'present'; readonly not?: string }
  /** It is not there, or the filter does not find it. */
  | { readonly is: 'unmatched' }
  /** The filter finds it. */
  | { readonly is: 'matched' }

export type RowStep =
  | { readonly call: string; readonly row: string; readonly saw: Seen }
  | { readonly call: string; readonly row: string; readonly wrote: string }
  /** Some of the rows, as many as that; the others were not there, or with `filtered` are not found by the filter. */
  | { readonly call: string; readonly rows: readonly string[]; readonly deleted: number; readonly filtered?: boolean }
  /** The same of an update: each of those has this version now. */
  | {
      readonly call: string
      readonly rows: readonly string[]
      readonly changed: number
      readonly became: string
      readonly filtered: boolean
    }
  /** As many of the rows are there, and with `filtered` are found by the filter. */
  | { readonly call: string; readonly rows: readonly string[]; readonly counted: number; readonly filtered: boolean }

export interface RowTransaction extends Omit<Transaction, 'steps'> {
  readonly client: number
  readonly steps: readonly RowStep[]
}

/**
 * A version as it was written, in the order of each row. Versions of a `group` were committed at once, where that is
 * known.
 */
export interface Audited {
  readonly row: string
  readonly version: Version
  readonly group: string
}

export const ROW_ANOMALIES = [
  /** A version that was never written, or that was rolled back. */
  'garbage read',
  'aborted read',
  'intermediate read',
  /** A transaction does not see what it did itself. */
  'internal',
  /** It was acknowledged, and has not happened. */
  'lost write',
  /** Nothing that a call saw was there while it ran. */
  'impossible read',
  ...CYCLES,
] as const
export type RowAnomaly = (typeof ROW_ANOMALIES)[number]

interface Placed {
  readonly version: Version
  /** `undefined`: it was so before everything. */
  readonly by: number | undefined
}

const key = (row: string, version: string): string => `${row}\n${version}`
const matches = (version: Version): boolean => version?.endsWith('/1') ?? false
const fits = (seen: Seen, version: Version): boolean => {
  if (seen.is === 'version') return version === seen.version
  if (seen.is === 'unmatched') return !matches(version)
  if (seen.is === 'matched') return matches(version)
  return version !== null && !(seen.not !== undefined && version.startsWith(seen.not))
}

export function checkRows(history: readonly RowTransaction[], audit: readonly Audited[]): Found<RowAnomaly>[] {
  return new RowChecker(history, audit).check()
}

class RowChecker {
  readonly #history: readonly RowTransaction[]
  readonly #audit: readonly Audited[]
  readonly #writers = new Map<string, number>()
  readonly #written: ReadonlySet<string>
  readonly #orders = new Map<string, Placed[]>()
  /** Which rows each step that deletes has deleted. */
  readonly #deleted = new Map<RowStep, Set<string>>()
  readonly #found: Found<RowAnomaly>[] = []
  readonly #graph = new Graph<Why>()

  constructor(history: readonly RowTransaction[], audit: readonly Audited[]) {
    this.#history = history
    this.#audit = audit
    this.#written = new Set(audit.flatMap(({ row, version }) => (version === null ? [] : [key(row, version)])))
    // A count may be reached by a transaction after another one that was rolled back: the last word has who committed.
    const aborted = ({ outcome }: RowTransaction): boolean => outcome === 'aborted'
    for (const [at, { steps }] of [...history.entries()].sort(
      ([, a], [, b]) => Number(aborted(b)) - Number(aborted(a)),
    ))
      for (const step of steps) {
        if ('wrote' in step) this.#writers.set(key(step.row, step.wrote), at)
        else if ('became' in step) for (const row of step.rows) this.#writers.set(key(row, step.became), at)
      }
  }

  check(): Found<RowAnomaly>[] {
    this.#order()
    this.#writes()
    for (const at of this.#history.keys()) this.#reads(at)
    if (this.#found.length > 0) return this.#found
    addTime(this.#graph, this.#history, (at) => this.#history[at]?.outcome !== 'aborted')
    const cycles = classify(this.#graph, this.#history.length)
    return cycles.map((each) => ({ ...each, what: each.transactions.map((at) => this.#shown(at)).join(' → ') }))
  }

  #shown(at: number): string {
    const { steps = [], client } = this.#history[at] ?? {}
    const calls = steps.map((step) => {
      if ('row' in step) return `${step.call} ${step.row}: ${'saw' in step ? JSON.stringify(step.saw) : step.wrote}`
      return `${step.call}: ${'deleted' in step ? step.deleted : 'changed' in step ? step.changed : step.counted}`
    })
    return `${at} of client ${client} (${calls.join('; ')})`
  }

  #add(anomaly: RowAnomaly, transactions: readonly number[]): void {
    const what = transactions.map((at) => this.#shown(at)).join(' → ')
    this.#found.push({ anomaly, transactions, what })
  }

  #order(): void {
    const deleters = this.#deleters()
    for (const [index, { row, version }] of this.#audit.entries()) {
      const order = this.#orders.get(row) ?? [{ version: null, by: undefined }]
      this.#orders.set(row, order)
      const by = version === null ? deleters.get(index) : this.#writers.get(key(row, version))
      order.push({ version, by: by ?? Number.NaN })
    }
  }

  /**
   * A deletion has no name of its own. It belongs to the transaction of which a later write is in the same group; each
   * transaction that deletes ends with one. Else it is a call by itself, of the only client that deletes this row so.
   */
  #deleters(): Map<number, number> {
    const left = new Map<RowStep, number>()
    const alone = new Map<string, { at: number; step: RowStep }[]>()
    for (const [at, { steps, outcome }] of this.#history.entries()) {
      if (outcome === 'aborted') continue
      for (const step of steps) {
        if (!('deleted' in step)) continue
        this.#deleted.set(step, new Set())
        left.set(step, step.deleted)
        if (steps.length > 1) continue
        for (const row of step.rows) alone.set(row, [...(alone.get(row) ?? []), { at, step }])
      }
    }
    const take = (step: RowStep, row: string): boolean => {
      const count = left.get(step) ?? 0
      const rows = this.#deleted.get(step)
      if (count === 0 || rows === undefined || rows.has(row) || !('rows' in step && step.rows.includes(row)))
        return false
      left.set(step, count - 1)
      rows.add(row)
      return true
    }
    const deleters = new Map<number, number>()
    const next = new Map<string, number>()
    for (let index = this.#audit.length - 1; index >= 0; index--) {
      const { row, version, group } = this.#audit[index] as Audited
      if (version !== null) {
        next.set(group, this.#writers.get(key(row, version)) ?? -1)
        continue
      }
      const at = next.get(group) ?? -1
      const own = this.#history[at]
      if (own !== undefined && own.steps.length > 1 && own.steps.toReversed().some((step) => take(step, row))) {
        deleters.set(index, at)
        continue
      }
      const single = alone.get(row)?.findLast(({ step }) => take(step, row))
      if (single !== undefined) deleters.set(index, single.at)
    }
    return deleters
  }

  #writes(): void {
    for (const [row, order] of this.#orders) {
      for (const [index, { by, version }] of order.entries()) {
        if (by !== undefined && Number.isNaN(by)) {
          this.#found.push({ anomaly: 'garbage read', transactions: [], what: `${row} became ${version}` })
        } else if (by !== undefined && this.#history[by]?.outcome === 'aborted') this.#add('aborted read', [by])
        this.#graph.add(by, order[index + 1]?.by, 'ww')
      }
    }
    for (const [at, { steps, outcome }] of this.#history.entries()) {
      if (outcome !== 'committed') continue
      for (const step of steps) {
        const lost =
          ('wrote' in step && !this.#written.has(key(step.row, step.wrote))) ||
          ('became' in step && this.#becoming(step).length !== step.changed) ||
          ('deleted' in step && (this.#deleted.get(step)?.size ?? 0) < step.deleted)
        if (lost) this.#add('lost write', [at])
      }
    }
  }

  /** The rows that an update has changed. */
  #becoming({ rows, became }: Extract<RowStep, { became: string }>): string[] {
    return rows.filter((row) => this.#written.has(key(row, became)))
  }

  #reads(at: number): void {
    const { steps = [], outcome } = this.#history[at] ?? {}
    if (outcome !== 'committed') return
    const own = new Map<string, Version>()
    const look = (row: string, seen: Seen): void => {
      const mine = own.get(row)
      if (mine === undefined) this.#read(at, row, seen)
      else if (!fits(seen, mine)) this.#add('internal', [at])
    }
    for (const step of steps) {
      if ('wrote' in step) own.set(step.row, step.wrote)
      else if ('saw' in step) look(step.row, step.saw)
      else if ('counted' in step) this.#count(at, step, own)
      else {
        const others: Seen = step.filtered === true ? { is: 'unmatched' } : { is: 'version', version: null }
        const became = 'became' in step ? step.became : null
        const changed = 'became' in step ? this.#becoming(step) : [...(this.#deleted.get(step) ?? [])]
        for (const row of step.rows) {
          if (changed.includes(row)) own.set(row, became)
          else look(row, others)
        }
      }
    }
  }

  /** The places of versions that were there, committed, at some moment while it ran. */
  #visible(at: number, row: string): number[] {
    const order = this.#orders.get(row) ?? [{ version: null, by: undefined }]
    const { begun = 0, ended = 0 } = this.#history[at] ?? {}
    return [...order.keys()].filter((index) => {
      const { by } = order[index] as Placed
      const next = order[index + 1]
      // A version that its writer has overwritten is never seen.
      if (by === at || (next !== undefined && next.by === by && by !== undefined)) return false
      const began = by === undefined ? Number.NEGATIVE_INFINITY : (this.#history[by]?.begun ?? 0)
      const over = next?.by === undefined ? undefined : this.#history[next.by]
      return began <= ended && (over === undefined || over.outcome === 'unknown' || over.ended >= begun)
    })
  }

  #read(at: number, row: string, seen: Seen): void {
    const order = this.#orders.get(row) ?? [{ version: null, by: undefined }]
    if (seen.is === 'version' && seen.version !== null) {
      const writer = this.#writers.get(key(row, seen.version))
      const place = order.findIndex(({ version }) => version === seen.version)
      if (writer === undefined) this.#add('garbage read', [at])
      else if (this.#history[writer]?.outcome === 'aborted') this.#add('aborted read', [writer, at])
      else if (order[place + 1]?.by === writer && writer !== at) this.#add('intermediate read', [writer, at])
      else this.#edges(at, order, [place])
      return
    }
    const places = this.#visible(at, row).filter((index) => fits(seen, order[index]?.version ?? null))
    if (places.length === 0) this.#add('impossible read', [at])
    else this.#edges(at, order, places)
  }

  #edges(at: number, order: readonly Placed[], places: readonly number[]): void {
    const first = order[places[0] ?? 0]
    this.#graph.add(first?.by, at, 'wr')
    const next = order[(places.at(-1) ?? 0) + 1]
    if (next !== undefined) this.#graph.add(at, next.by, 'rw')
  }

  /** A count says something of each row only where it is the least or the most that can have been there. */
  #count(at: number, step: Extract<RowStep, { counted: number }>, own: ReadonlyMap<string, Version>): void {
    const counts = (version: Version): boolean => (step.filtered ? matches(version) : version !== null)
    const rows = step.rows.map((row) => {
      const order = this.#orders.get(row) ?? [{ version: null, by: undefined }]
      const mine = own.get(row)
      const places = mine === undefined ? this.#visible(at, row) : []
      const can = mine === undefined ? places.map((index) => counts(order[index]?.version ?? null)) : [counts(mine)]
      return { order, places, can }
    })
    const least = rows.filter(({ can }) => can.every(Boolean)).length
    const most = rows.filter(({ can }) => can.some(Boolean)).length
    if (step.counted < least || step.counted > most) this.#add('impossible read', [at])
    if (step.counted !== least && step.counted !== most) return
    for (const { order, places, can } of rows) {
      const isCounted = step.counted === most ? can.some(Boolean) : can.every(Boolean)
      const fitting = places.filter((index) => counts(order[index]?.version ?? null) === isCounted)
      if (fitting.length > 0) this.#edges(at, order, fitting)
    }
  }
}
