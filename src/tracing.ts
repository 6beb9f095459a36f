/**
 * What happens inside, as tracing channels of `node:diagnostics_channel`: `tracing:meshstore:statement:start`, `…:end`
 * and so on, each with one of the objects below. Names, counts and times only: no ids, no values. A channel that nobody
 * listens to costs one property read.
 */
import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'

/** A statement runs. Those of one transaction or batch come one by one. */
export interface StatementEvent {
  readonly name: string
  /** From `end` on. */
  milliseconds?: number
  /** From `end` on: rows returned, or changed where none are returned. */
  rows?: number
  error?: unknown
}

/** A transaction, from its beginning to COMMIT or ROLLBACK. It ends with `asyncEnd`; with `error` if rolled back. */
export interface TransactionEvent {
  readonly readOnly: boolean
  attempts: number
  milliseconds?: number
  error?: unknown
}

/** Writes that waited together are committed together. */
export interface CommitEvent {
  /** How many writes the commit holds. */
  readonly batch: number
  milliseconds?: number
  error?: unknown
}

/** `getOrCompute` was asked. It ends with `asyncEnd`. */
export interface CacheEvent {
  /** From `asyncEnd` on; `'joined'`: waited for another caller's computation. */
  origin?: 'hit' | 'computed' | 'joined'
  milliseconds?: number
  /** The code of the error that kept a computed bundle from being stored. */
  notStored?: string
  error?: unknown
}

type Tracing<E extends object> = TracingChannel<unknown, E>

export const statementTracing: Tracing<StatementEvent> = tracingChannel('meshstore:statement')
export const transactionTracing: Tracing<TransactionEvent> = tracingChannel('meshstore:transaction')
export const commitTracing: Tracing<CommitEvent> = tracingChannel('meshstore:commit')
export const cacheTracing: Tracing<CacheEvent> = tracingChannel('meshstore:cache')

interface Timed {
  milliseconds?: number
}

/** Runs `work` as one synchronous event; only for a channel that has subscribers. */
export function traceSync<E extends Timed, T>(tracing: Tracing<E>, event: E, work: (event: E) => T): T {
  return tracing.traceSync(() => {
    const begun = performance.now()
    try {
      return work(event)
    } finally {
      event.milliseconds = performance.now() - begun
    }
  }, event)
}

/** Runs `work` as one asynchronous event; only for a channel that has subscribers. */
export function tracePromise<E extends Timed, T>(
  tracing: Tracing<E>,
  event: E,
  work: (event: E) => Promise<T>,
): Promise<T> {
  return tracing.tracePromise(async () => {
    const begun = performance.now()
    try {
      return await work(event)
    } finally {
      event.milliseconds = performance.now() - begun
    }
  }, event)
}
