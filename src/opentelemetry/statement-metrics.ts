import type { Attributes, Meter } from '@opentelemetry/api'
import type { Meshstore } from '../api.ts'
import type { Listeners } from './channels.ts'
import { failed, histogramOf, seconds } from './durations.ts'
import { errorsOf } from './event-metrics.ts'
import { STATEMENTS, type StatementMetrics } from './summed-statements.ts'

export function recordStatements(
  store: Pick<Meshstore, 'dialect'>,
  meter: Meter,
  listeners: Listeners,
  summed: StatementMetrics | undefined,
): void {
  const record = summed === undefined ? byHistogram(meter) : summed.record.bind(summed)
  const errors = errorsOf(meter)
  listeners.onEnd('statement', ({ name, milliseconds = 0, error }) => {
    record(store.dialect, name, milliseconds, error)
    if (error !== undefined) errors.add(1, { ...failed(error), 'meshstore.event': 'statement' })
  })
}

function byHistogram(meter: Meter): StatementMetrics['record'] {
  const statements = histogramOf(meter, STATEMENTS)
  // A map of attributes for each statement: to make one for each event would cost as much as to record it.
  const known = new Map<string, Attributes>()
  return (system, name, milliseconds, error) => {
    const key = `${system} ${name}`
    let attributes = known.get(key)
    if (attributes === undefined) {
      attributes = { 'db.system.name': system, 'db.operation.name': name }
      known.set(key, attributes)
    }
    statements.record(seconds(milliseconds), error === undefined ? attributes : { ...attributes, ...failed(error) })
  }
}
