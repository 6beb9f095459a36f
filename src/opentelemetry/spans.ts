import { type Attributes, type Span, SpanKind, SpanStatusCode, type TracerProvider } from '@opentelemetry/api'
import type { Meshstore } from '../api.ts'
import { codeOf, type EventName, type Events, Listeners } from './channels.ts'

/** A group commit has many callers, and a failover none. */
const ROOTS: ReadonlySet<EventName> = new Set(['commit', 'failover'])

/** A span begins in the caller's context, which its parent comes from. */
export function recordSpans(store: Meshstore, provider: TracerProvider): Disposable {
  const tracer = provider.getTracer('meshstore')
  const listeners = new Listeners()

  const trace = <N extends Exclude<EventName, 'retry'>>(
    channel: N,
    nameOf: (event: Events[N]) => string,
    attributesOf: (event: Events[N]) => Attributes,
    kind = SpanKind.INTERNAL,
  ): void => {
    const spans = new WeakMap<Events[N], Span>()
    listeners.onStart(channel, (event) => {
      spans.set(event, tracer.startSpan(nameOf(event), { kind, root: ROOTS.has(channel) }))
    })
    listeners.onEnd(channel, (event) => {
      const span = spans.get(event)
      if (span === undefined) return
      const { error } = event
      span.setAttributes({ 'db.system.name': store.dialect, ...attributesOf(event) })
      if (error !== undefined) {
        const code = codeOf(error)
        span.setAttribute('error.type', code)
        span.setStatus({ code: SpanStatusCode.ERROR, message: code })
      }
      span.end()
    })
  }

  const statement = ({ name, rows }: Events['statement']): Attributes => ({
    'db.operation.name': name,
    ...(rows === undefined ? {} : { 'db.response.returned_rows': rows }),
  })
  trace('statement', ({ name }) => name, statement, SpanKind.CLIENT)
  trace(
    'transaction',
    () => 'meshstore.transaction',
    ({ readOnly, attempts }) => ({ 'meshstore.read_only': readOnly, 'meshstore.attempts': attempts }),
  )
  trace(
    'commit',
    () => 'meshstore.commit',
    ({ batch }) => ({ 'meshstore.writes': batch }),
  )
  trace(
    'cache',
    () => 'meshstore.cache',
    ({ origin, notStored }) => ({
      ...(origin === undefined ? {} : { 'meshstore.cache.origin': origin }),
      ...(notStored === undefined ? {} : { 'meshstore.reason': notStored }),
    }),
  )
  trace(
    'sweep',
    () => 'meshstore.sweep',
    ({ trigger }) => ({ 'meshstore.trigger': trigger }),
  )
  trace(
    'backup',
    () => 'meshstore.backup',
    ({ trigger }) => ({ 'meshstore.trigger': trigger }),
  )
  trace(
    'replication',
    () => 'meshstore.replication',
    ({ rows }) => (rows === undefined ? {} : { 'meshstore.rows': rows }),
  )
  trace(
    'move',
    () => 'meshstore.move',
    ({ step, rows }) => ({ 'meshstore.move.step': step, 'meshstore.rows': rows }),
  )
  trace(
    'failover',
    () => 'meshstore.failover',
    () => ({}),
  )
  return listeners
}
