/**
 * `meshstore/opentelemetry`: metrics and spans of a store. It needs `@opentelemetry/api`, which the package does not bring.
 *
 * @module meshstore/opentelemetry
 */
import { type MeterProvider, metrics, ProxyTracerProvider, type TracerProvider, trace } from '@opentelemetry/api'
import type { Meshstore } from './api.ts'
import { recordMetrics } from './opentelemetry/metrics.ts'
import { recordSpans } from './opentelemetry/spans.ts'
import { StatementMetrics } from './opentelemetry/summed-statements.ts'

export { StatementMetrics }

export interface InstrumentOptions {
  /** Default: the provider that the application has registered with `@opentelemetry/api`. */
  readonly meterProvider?: MeterProvider | undefined
  /** Default: the provider that the application has registered with `@opentelemetry/api`. */
  readonly tracerProvider?: TracerProvider | undefined
  /**
   * `db.client.operation.duration`, a measurement of each statement. With `true` the library sums them up itself and hands the sums to the
   * readers of your provider, which costs a read less than 0.5 µs. A provider with views, delta temporality, another aggregation of
   * histograms or another SDK gets the SDK's histogram instead, which costs a read about 2 µs. Default: `true`.
   */
  readonly statements?: boolean | StatementMetrics | undefined
  /**
   * A span for each statement, transaction, commit, cache request, sweep, backup, step of the replication, move and failover, if there is
   * a provider of spans. Default: `true`.
   */
  readonly spans?: boolean | undefined
}

/**
 * Reports a store to OpenTelemetry: metrics and spans by the semantic conventions for databases. No value of a row is in any of
 * them. Register your providers first. Dispose of the result before you close the store.
 *
 * Events come from channels of the process: with two stores in a process, each reports the statements of both.
 *
 * @example
 * using instrumented = instrument(store)
 */
export function instrument(
  store: Meshstore,
  {
    meterProvider = metrics.getMeterProvider(),
    tracerProvider = trace.getTracerProvider(),
    statements = true,
    spans = true,
  }: InstrumentOptions = {},
): Disposable {
  const recording = recordMetrics(store, meterProvider, { statements })
  const tracing = spans && isRegistered(tracerProvider) ? recordSpans(store, tracerProvider) : undefined
  return {
    [Symbol.dispose]() {
      recording[Symbol.dispose]()
      tracing?.[Symbol.dispose]()
    },
  }
}

/** Without a provider each event would make a span for nobody. */
const isRegistered = (provider: TracerProvider): boolean =>
  !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer('meshstore') !== undefined
