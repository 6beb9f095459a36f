import { tracingChannel } from 'node:diagnostics_channel'
import type {
  CacheEvent,
  CommitEvent,
  FailoverEvent,
  RetryEvent,
  StatementEvent,
  TransactionEvent,
} from '../../src/index.ts'

interface Events {
  statement: StatementEvent
  transaction: TransactionEvent
  commit: CommitEvent
  retry: RetryEvent
  cache: CacheEvent
  failover: FailoverEvent
}
type Moment = 'start' | 'end' | 'asyncStart' | 'asyncEnd' | 'error'

export interface Recorded<E> extends Disposable {
  /** As they were when they ended. */
  readonly events: E[]
}

/** Records the events of a channel at a moment, until it is disposed of: `using recorded = record('commit', 'end')`. */
export function record<C extends keyof Events>(channel: C, moment: Moment): Recorded<Events[C]> {
  const events: Events[C][] = []
  const heard = tracingChannel(`meshstore:${channel}`)[moment]
  // The channel's own events, of which its module says what they hold.
  const listener = (event: unknown): void => void events.push({ ...(event as Events[C]) })
  heard.subscribe(listener)
  return { events, [Symbol.dispose]: () => heard.unsubscribe(listener) }
}

export const recordStatements = (): Recorded<StatementEvent> => record('statement', 'end')
