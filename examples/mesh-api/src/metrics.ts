/** Reports the storage and the server to Prometheus. */
import { PrometheusExporter, PrometheusSerializer } from '@opentelemetry/exporter-prometheus'
import { MeterProvider } from '@opentelemetry/sdk-metrics'
import type { Meshstore } from 'meshstore'
import { instrument } from 'meshstore/opentelemetry'

/** From 100 µs, a path from the cache, to 10 s. */
const SECONDS = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]

export class Metrics implements AsyncDisposable {
  readonly contentType = 'text/plain; version=0.0.4; charset=utf-8'
  readonly #exporter = new PrometheusExporter({ preventServerStart: true })
  readonly #serializer = new PrometheusSerializer(undefined, false, undefined, true, true)
  readonly #provider = new MeterProvider({ readers: [this.#exporter] })
  readonly #meter = this.#provider.getMeter('mesh-api')
  readonly #requests = this.#meter.createHistogram('http.server.request.duration', {
    unit: 's',
    description: 'HTTP requests',
    advice: { explicitBucketBoundaries: SECONDS },
  })
  readonly #storage: Disposable

  constructor(store: Meshstore, feed: { readonly clients: number }) {
    this.#storage = instrument(store, { meterProvider: this.#provider, spans: false })
    this.#meter
      .createObservableGauge('mesh_api.listeners', { description: 'Clients that listen for changes' })
      .addCallback((result) => result.observe(feed.clients))
  }

  /** Sizes are looked at when somebody asks. */
  async text(): Promise<string> {
    const { resourceMetrics } = await this.#exporter.collect()
    return this.#serializer.serialize(resourceMetrics)
  }

  /** `route` is the pattern, not the address: ids would make a series each. */
  request(of: { readonly method: string; readonly route: string; readonly status: number }, seconds: number): void {
    this.#requests.record(seconds, {
      'http.request.method': of.method,
      'http.route': of.route,
      'http.response.status_code': of.status,
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#storage[Symbol.dispose]()
    await this.#provider.shutdown()
  }
}
