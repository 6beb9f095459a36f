/** The document of `--json`, from which the report is made. */
import type { Outcome } from './context.ts'
import type { Disk } from './disk.ts'
import type { Machine } from './machine.ts'

export interface Section {
  /** The name that `--only` takes. */
  readonly benchmark: string
  readonly seconds: number
  readonly outcomes: readonly Outcome[]
}

export interface Document {
  /** ISO 8601. */
  readonly when: string
  /** The options of the run. */
  readonly options: readonly string[]
  readonly machine: Machine
  readonly disk: Disk
  readonly warnings: readonly string[]
  readonly sections: readonly Section[]
}

export function commandOf(options: readonly string[], benchmark?: string): string {
  const all = [...options, ...(benchmark === undefined ? [] : ['--only', benchmark])]
  return ['npm run bench', ...(all.length === 0 ? [] : ['--', ...all])].join(' ')
}

const FIGURES: ReadonlySet<string> = new Set(['p10', 'p50', 'p90', 'p99', 'value'])

/** JSON has neither NaN nor undefined: it has null in the place of both. */
export const documentOf = (json: string): Document =>
  JSON.parse(json, (key, value) => (value !== null ? value : FIGURES.has(key) ? Number.NaN : undefined))
