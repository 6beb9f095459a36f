import { type Attributes, type Span, SpanKind, SpanStatusCode, type TracerProvider } from '@opentelemetry/api'
import type { Meshstore } from '../api.ts'
import { codeOf, EVENTS, type EventName, type Events, Listeners } from './channels.ts'

/** A group commit has many callers, and a failover none. */
const ROOTS: ReadonlySet<EventName> = new Set(['commit', 'failover'])

type Traced = Exclude<EventName, 'retry'>
const ATTRIBUTES: { readonly [N in Traced]: (event: Events[N]) => Attributes } = {
  statement: ({ name, rows }) => ({
    'db.operation.name': name,
    ...(rows === undefined ? {} : { 'db.response.returned_rows': rows }),
  }),
  transaction: ({ readOnly, attempts }) => ({ 'meshstore.read_only': readOnly, 'meshstore.attempts': attempts }),
  commit: ({ batch }) => ({ 'meshstore.writes': batch }),
  cache: ({ origin, notStored }) => ({
    ...(origin === undefined ? {} : { 'meshstore.cache.origin': origin }),
    ...(notStored === undefined ? {} : { 'meshstore.reason': notStored }),
  }),
  sweep: ({ trigger }) => ({ 'meshstore.trigger': trigger }),
  backup: ({ trigger }) => ({ 'meshstore.trigger': trigger }),
  replication: ({ rows }) => (rows === undefined ? {} : { 'meshstore.rows': rows }),
  move: ({ step, rows }) => ({ 'meshstore.move.step': step, 'meshstore.rows': rows }),
  failover: () => ({}),
}

/** A span begins in the caller's context, which its parent comes from. */
export function recordSpans(store: Meshstore, provider: TracerProvider): Disposable {
  const tracer = provider.getTracer('meshstore')
  const listeners = new Listeners()

  const trace = <N extends Traced>(channel: N): void => {
    const kind = channel === 'statement' ? SpanKind.CLIENT : SpanKind.INTERNAL
    const spans = new WeakMap<Events[N], Span>()
    listeners.onStart(channel, (event) => {
      // A statement has a name of its own.
      const name = 'name' in event ? String(event.name) : `meshstore.${channel}`
      spans.set(event, tracer.startSpan(name, { kind, root: ROOTS.has(channel) }))
    })
    listeners.onEnd(channel, (event) => {
      const span = spans.get(event)
      if (span === undefined) return
      const { error } = event
      span.setAttributes({ 'db.system.name': store.dialect, ...ATTRIBUTES[channel](event) })
      if (error !== undefined) {
        const code = codeOf(error)
        span.setAttribute('error.type', code)
        span.setStatus({ code: SpanStatusCode.ERROR, message: code })
      }
      span.end()
    })
  }

  for (const channel of EVENTS) trace(channel)
  return listeners
}
