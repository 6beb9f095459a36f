import type { MeterProvider } from '@opentelemetry/api'
import { Listeners } from './channels.ts'
import { recordEvents } from './event-metrics.ts'
import { type Observed, observe } from './observed-metrics.ts'
import { summedIn } from './sdk-readers.ts'
import { recordStatements } from './statement-metrics.ts'
import type { StatementMetrics } from './summed-statements.ts'

export function recordMetrics(
  store: Observed,
  provider: MeterProvider,
  { statements }: { readonly statements: boolean | StatementMetrics },
): Disposable {
  const meter = provider.getMeter('meshstore')
  const listeners = new Listeners()
  const summed = typeof statements === 'boolean' ? summedIn(provider) : statements
  recordEvents(meter, listeners, summed)
  if (statements !== false) recordStatements(store, meter, listeners, summed)
  const stop = observe(store, meter, listeners)
  return {
    [Symbol.dispose]() {
      listeners[Symbol.dispose]()
      stop()
    },
  }
}
