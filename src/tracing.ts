/**
 * Tracing channels of `node:diagnostics_channel`: `tracing:meshstore:statement:start`, `…:end` and so on, each with one of
 * the objects below. Events carry names, counts and times, and no ids or values. A channel without subscribers costs one
 * property read. Every event is over with `asyncEnd`; that of synchronous work has `end` just before.
 */
// A namespace import: a named import would fail on an old Node before the check of Node's version explains why.
import channels, { type TracingChannel } from 'node:diagnostics_channel'
import { performance } from './event-loop.ts'
import type {
  BackupEvent,
  CacheEvent,
  CommitEvent,
  FailoverEvent,
  MoveEvent,
  ReplicationEvent,
  RetryEvent,
  StatementEvent,
  SweepEvent,
  TransactionEvent,
} from './tracing-events.ts'

export type {
  BackupEvent,
  CacheEvent,
  CommitEvent,
  FailoverEvent,
  MoveEvent,
  ReplicationEvent,
  RetryEvent,
  StatementEvent,
  SweepEvent,
  TransactionEvent,
}

type Tracing<E extends object> = TracingChannel<unknown, E>

function channel<E extends object>(name: string): Tracing<E> {
  const tracing: Tracing<E> = channels.tracingChannel(`meshstore:${name}`)
  // Bun's have no such property.
  if (!('hasSubscribers' in tracing)) {
    const { start, end, asyncStart, asyncEnd, error }: Tracing<E> = tracing
    const parts = [start, end, asyncStart, asyncEnd, error]
    Object.defineProperty(tracing, 'hasSubscribers', { get: () => parts.some((part) => part.hasSubscribers) })
  }
  return tracing
}

export const statementTracing = channel<StatementEvent>('statement')
export const transactionTracing = channel<TransactionEvent>('transaction')
export const commitTracing = channel<CommitEvent>('commit')
export const retryTracing = channel<RetryEvent>('retry')
export const cacheTracing = channel<CacheEvent>('cache')
export const backupTracing = channel<BackupEvent>('backup')
export const replicationTracing = channel<ReplicationEvent>('replication')
export const sweepTracing = channel<SweepEvent>('sweep')
export const moveTracing = channel<MoveEvent>('move')
export const failoverTracing = channel<FailoverEvent>('failover')

interface Timed {
  milliseconds?: number
}

/** Runs `work` as one synchronous event, which ends with `asyncEnd`, too. Call it only if the channel has subscribers. */
export function traceSync<E extends Timed & { error?: unknown }, T>(
  tracing: Tracing<E>,
  event: E,
  work: (event: E) => T,
): T {
  const { start, end, error: failed, asyncEnd } = tracing
  const begun = performance.now()
  try {
    // Metrics listen to the last event alone: Node's own tracing would take longer than they do.
    if (!start.hasSubscribers && !end.hasSubscribers && !failed.hasSubscribers) return work(event)
    return traceFully(tracing, event, begun, work)
  } catch (error) {
    event.error ??= error
    throw error
  } finally {
    event.milliseconds ??= performance.now() - begun
    asyncEnd.publish(event)
  }
}

function traceFully<E extends Timed, T>(tracing: Tracing<E>, event: E, begun: number, work: (event: E) => T): T {
  // The traced function returns nothing: Node publishes its result, which would be rows.
  const returned: T[] = []
  tracing.traceSync(() => {
    try {
      returned.push(work(event))
    } finally {
      event.milliseconds = performance.now() - begun
    }
  }, event)
  return returned[0] as T
}

/** One event that is over at once, with an error. */
export function traceRefusal<E extends Timed & { error?: unknown }>(
  tracing: Tracing<E>,
  event: E,
  error: unknown,
): void {
  if (!tracing.hasSubscribers) return
  tracing.start.publish(event)
  Object.assign(event, { milliseconds: 0, error })
  tracing.error.publish(event)
  tracing.end.publish(event)
  tracing.asyncEnd.publish(event)
}

export function traceRetry(event: RetryEvent['event'], reason: RetryEvent['reason']): void {
  if (!retryTracing.hasSubscribers) return
  const { start, end, asyncStart, asyncEnd } = retryTracing
  const retry = { event, reason }
  for (const moment of [start, end, asyncStart, asyncEnd]) moment.publish(retry)
}

/** Begins an event that no call encloses. Returns what ends it. */
export function traceState<E extends Timed & { error?: unknown }>(
  tracing: Tracing<E>,
  event: E,
): (error?: unknown) => void {
  const begun = performance.now()
  tracing.start.publish(event)
  tracing.end.publish(event)
  return (error) => {
    event.milliseconds = performance.now() - begun
    if (error !== undefined) {
      event.error = error
      tracing.error.publish(event)
    }
    tracing.asyncStart.publish(event)
    tracing.asyncEnd.publish(event)
  }
}

/**
 * Runs asynchronous `work` as one event from `start` to `end`, like `traceSync`: subscribers see the same events for
 * both kinds of drivers. `published` removes values from an error: a driver's error holds values.
 */
export async function traceLong<E extends Timed & { error?: unknown }, T>(
  tracing: Tracing<E>,
  event: E,
  work: () => Promise<T>,
  published: (error: unknown) => unknown = (error) => error,
): Promise<T> {
  const begun = performance.now()
  tracing.start.publish(event)
  try {
    return await work()
  } catch (error) {
    event.error = published(error)
    tracing.error.publish(event)
    throw error
  } finally {
    event.milliseconds = performance.now() - begun
    tracing.end.publish(event)
    tracing.asyncEnd.publish(event)
  }
}

/** Runs `work` as one asynchronous event. Call it only if the channel has subscribers. */
export async function tracePromise<E extends Timed & { error?: unknown }, T>(
  tracing: Tracing<E>,
  event: E,
  work: (event: E) => Promise<T>,
): Promise<T> {
  const { start, end, asyncStart, asyncEnd, error: failed } = tracing
  const begun = performance.now()
  // As in `traceSync`.
  if (start.hasSubscribers || end.hasSubscribers || asyncStart.hasSubscribers || failed.hasSubscribers)
    return traceFullPromise(tracing, event, begun, work)
  try {
    return await work(event)
  } catch (error) {
    event.error ??= error
    throw error
  } finally {
    event.milliseconds = performance.now() - begun
    asyncEnd.publish(event)
  }
}

async function traceFullPromise<E extends Timed, T>(
  tracing: Tracing<E>,
  event: E,
  begun: number,
  work: (event: E) => Promise<T>,
): Promise<T> {
  const returned: T[] = []
  await tracing.tracePromise(async () => {
    try {
      returned.push(await work(event))
    } finally {
      event.milliseconds = performance.now() - begun
    }
  }, event)
  return returned[0] as T
}
