/** Messages between the load and its parent. */
import type { StorageOptions } from '../../../src/index.ts'
import type { Heard } from './listener.ts'
import type { CallFigures, Judgement } from './truth.ts'

export type LoadOptions = Omit<StorageOptions, 'url' | 'tables' | 'migrations'>

export interface LoadOrders {
  /** The tree whose source is loaded. */
  readonly root: string
  readonly url: string
  /** Leads to the primary, whatever the load's own URL does. */
  readonly checkUrl: string
  readonly options: LoadOptions
  /** Calls a second. */
  readonly rate: number
  /** Begins the key of every row. */
  readonly run: string
  /** A call that has not returned within this time at the end is stuck. */
  readonly longestMs: number
}

/** `'warm'`: the rate counts from now on. `'fault'`: a fault comes now. `'lossy'`: it may lose what was acknowledged. */
export type ToLoad = 'warm' | 'fault' | 'lossy' | 'stop'
export type FromLoad = { readonly written: number } | { readonly report: LoadReport }

export interface LoadReport extends CallFigures, Judgement {
  /** Writes a second that were acknowledged from `'warm'` to `'fault'`. */
  readonly rate: number
  /** Calls that did not return. */
  readonly stuck: number
  /** Subscribers that did not hear of the last row. */
  readonly deaf: number
  /** Paths that were older than their source. */
  readonly stale: number
  readonly hits: number
  readonly computed: number
  readonly listeners: readonly Heard[]
}
