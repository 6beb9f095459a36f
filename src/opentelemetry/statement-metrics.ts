import type { Attributes, Meter } from '@opentelemetry/api'
import type { Meshstore } from '../api.ts'
import type { Listeners } from './channels.ts'
import { failed, seconds, shortDuration } from './durations.ts'
import { errorsOf } from './event-metrics.ts'

export function recordStatements(store: Pick<Meshstore, 'dialect'>, meter: Meter, listeners: Listeners): void {
  const statements = shortDuration(meter, 'db.client.operation.duration', 'Duration of statements')
  const errors = errorsOf(meter)
  // A map of attributes for each statement: to make one for each event would cost as much as to record it.
  const known = new Map<string, Attributes>()
  const attributesOf = (name: string): Attributes => {
    const key = `${store.dialect} ${name}`
    let attributes = known.get(key)
    if (attributes === undefined) {
      attributes = { 'db.system.name': store.dialect, 'db.operation.name': name }
      known.set(key, attributes)
    }
    return attributes
  }
  listeners.onEnd('statement', ({ name, milliseconds, error }) => {
    const attributes = attributesOf(name)
    if (error === undefined) return statements.record(seconds(milliseconds), attributes)
    statements.record(seconds(milliseconds), { ...attributes, ...failed(error) })
    errors.add(1, { ...failed(error), 'meshstore.event': 'statement' })
  })
}
