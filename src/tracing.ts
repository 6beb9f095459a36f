/**
 * What happens inside, as tracing channels of `node:diagnostics_channel`: `tracing:meshstore:statement:start`, `…:end`
 * and so on, each with one of the objects below. Names, counts and times only: no ids, no values. A channel that nobody
 * listens to costs one property read.
 */
// Not by name: where an old Node lacks it, the import would fail before the check of Node's version says why.
import channels, { type TracingChannel } from 'node:diagnostics_channel'
import type {
  BackupEvent,
  CacheEvent,
  CommitEvent,
  StatementEvent,
  SweepEvent,
  TransactionEvent,
} from './tracing-events.ts'

export type { BackupEvent, CacheEvent, CommitEvent, StatementEvent, SweepEvent, TransactionEvent }

type Tracing<E extends object> = TracingChannel<unknown, E>

export const statementTracing: Tracing<StatementEvent> = channels.tracingChannel('meshstore:statement')
export const transactionTracing: Tracing<TransactionEvent> = channels.tracingChannel('meshstore:transaction')
export const commitTracing: Tracing<CommitEvent> = channels.tracingChannel('meshstore:commit')
export const cacheTracing: Tracing<CacheEvent> = channels.tracingChannel('meshstore:cache')
export const backupTracing: Tracing<BackupEvent> = channels.tracingChannel('meshstore:backup')
export const sweepTracing: Tracing<SweepEvent> = channels.tracingChannel('meshstore:sweep')

interface Timed {
  milliseconds?: number
}

/** Runs `work` as one synchronous event; only for a channel that has subscribers. */
export function traceSync<E extends Timed, T>(tracing: Tracing<E>, event: E, work: (event: E) => T): T {
  // Node publishes what the traced function returns, and that would be rows.
  const returned: T[] = []
  tracing.traceSync(() => {
    const begun = performance.now()
    try {
      returned.push(work(event))
    } finally {
      event.milliseconds = performance.now() - begun
    }
  }, event)
  return returned[0] as T
}

/**
 * Runs `work` as one event from `start` to `end`, like `traceSync`, though it takes its time: what a subscriber sees is the
 * same whether the driver is synchronous or not. `published` makes of an error what may be shown: a driver's holds values.
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
  }
}

/** Runs `work` as one asynchronous event; only for a channel that has subscribers. */
export async function tracePromise<E extends Timed, T>(
  tracing: Tracing<E>,
  event: E,
  work: (event: E) => Promise<T>,
): Promise<T> {
  const returned: T[] = []
  await tracing.tracePromise(async () => {
    const begun = performance.now()
    try {
      returned.push(await work(event))
    } finally {
      event.milliseconds = performance.now() - begun
    }
  }, event)
  return returned[0] as T
}
