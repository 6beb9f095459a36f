/** The library's tracing channels, by name, as any program sees them. */
import channels from 'node:diagnostics_channel'
import { propertyOf } from '../errors.ts'
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
} from '../tracing-events.ts'

export interface Events {
  readonly statement: StatementEvent
  readonly transaction: TransactionEvent
  readonly commit: CommitEvent
  readonly retry: RetryEvent
  readonly cache: CacheEvent
  readonly sweep: SweepEvent
  readonly backup: BackupEvent
  readonly replication: ReplicationEvent
  readonly move: MoveEvent
  readonly failover: FailoverEvent
}
export type EventName = keyof Events
/** Channels whose events may end with an error. */
export const EVENTS: readonly Exclude<EventName, 'retry'>[] = [
  'statement',
  'transaction',
  'commit',
  'cache',
  'sweep',
  'backup',
  'replication',
  'move',
  'failover',
]

export class Listeners implements Disposable {
  readonly #stop: (() => void)[] = []

  onStart<N extends EventName>(name: N, listener: (event: Events[N]) => void): void {
    this.#on(name, 'start', listener)
  }

  onEnd<N extends EventName>(name: N, listener: (event: Events[N]) => void): void {
    this.#on(name, 'asyncEnd', listener)
  }

  #on<N extends EventName>(name: N, moment: 'start' | 'asyncEnd', listener: (event: Events[N]) => void): void {
    const channel = channels.tracingChannel(`meshstore:${name}`)[moment]
    // Only the library publishes on its channels, and only events of this type.
    const onMessage = (event: unknown): void => listener(event as Events[N])
    channel.subscribe(onMessage)
    this.#stop.push(() => channel.unsubscribe(onMessage))
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stop.splice(0)) stop()
  }
}

/** The code of a StorageError; of another error its name. Never its message, which may hold a value. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '_OTHER'
  const [code, name] = [propertyOf(error, 'code'), propertyOf(error, 'name')]
  return typeof code === 'string' ? code : typeof name === 'string' ? name : '_OTHER'
}
