/** Spans and metrics of `meshstore/opentelemetry`, read through the SDK that applications use. */

import { tracingChannel } from 'node:diagnostics_channel'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type MeterProvider as ApiMeterProvider, context, trace } from '@opentelemetry/api'
import {
  type AggregationOption,
  AggregationTemporality,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  type MetricData,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { Health, StorageStats } from '../src/index.ts'
import { openStorage } from '../src/index.ts'
import { EVENTS, type Events } from '../src/opentelemetry/channels.ts'
import { recordMetrics } from '../src/opentelemetry/metrics.ts'
import { instrument, StatementMetrics } from '../src/opentelemetry-entry.ts'
import { createDatabase } from './postgres/support/database.ts'
import { describePostgres } from './postgres/support/suite.ts'
import { lastingBackends } from './support/backends.ts'
import { temporaryFolder } from './support/folders.ts'

const SECRET = 'not-to-be-seen'
const node = { nodeId: SECRET, interfaces: [SECRET], protocols: [] }
const key = { source: SECRET, destination: 'b', k: 1 }
const bundle = { source: SECRET, destination: 'b', primary: [] }

function observed() {
  const summed = new StatementMetrics()
  const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({
    exporter: metrics,
    exportIntervalMillis: 3_600_000,
    metricProducers: [summed],
  })
  const spans = new InMemorySpanExporter()
  const meterProvider = new MeterProvider({ readers: [reader] })
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
  const collect = async (): Promise<ReadonlyMap<string, MetricData>> => {
    metrics.reset()
    await meterProvider.forceFlush()
    const found = metrics.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics: all }) => all))
    return new Map(found.map((metric) => [metric.descriptor.name, metric]))
  }
  return { meterProvider, tracerProvider, spans, collect, summed }
}

/** A reader that differs from the usual one. */
function read({ temporality = AggregationTemporality.CUMULATIVE, aggregation = 0 } = {}) {
  const exporter = new InMemoryMetricExporter(temporality)
  Object.assign(exporter, { selectAggregation: () => ({ type: aggregation }) as AggregationOption })
  return { readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })] }
}

const count = (metric: MetricData | undefined): number =>
  (metric?.dataPoints ?? []).reduce(
    (sum, { value }) => sum + (typeof value === 'number' ? value : 'count' in value ? value.count : 0),
    0,
  )

afterEach(() => {
  context.disable()
  trace.disable()
})

describe.each(lastingBackends)('OpenTelemetry on $name', (backend) => {
  test('metrics count what was done, and hold no value', async () => {
    using folder = temporaryFolder()
    await using opened = await backend.open({ pathCache: { sweepSeconds: 3_600 } })
    const { store } = opened
    const { meterProvider, tracerProvider, spans, collect } = observed()
    using instrumented = instrument(store, { meterProvider, tracerProvider })

    await store.nodes.create(node)
    for (let read = 0; read < 3; read++) await store.nodes.get(SECRET)
    await expect(store.nodes.create(node)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await store.pathCache.getOrCompute(key, async () => bundle)
    await store.pathCache.getOrCompute(key, async () => bundle)
    await store.transaction((tx) => tx.nodes.update(SECRET, { started: true }))
    await expect(store.transaction(() => Promise.reject(new TypeError(SECRET)))).rejects.toThrow(TypeError)
    await store.pathCache.sweep()
    await store.backup(folder.file('backup.db'))

    const metrics = await collect()
    const operations = metrics.get('db.client.operation.duration')
    const gets = operations?.dataPoints.filter(({ attributes }) => attributes['db.operation.name'] === 'nodes.get')
    expect(gets?.map(({ attributes }) => attributes['db.system.name'])).toEqual([store.dialect])
    expect(gets?.[0]?.value).toMatchObject({ count: 3 })
    expect(operations?.descriptor.unit).toBe('s')
    const transactions = metrics.get('meshstore.transaction.duration')?.dataPoints ?? []
    expect(transactions.map(({ attributes }) => attributes['error.type']).sort()).toEqual(['TypeError', undefined])
    expect(count(metrics.get('meshstore.commit.writes'))).toBeGreaterThan(0)
    const origins = metrics.get('meshstore.cache.duration')?.dataPoints
    expect(origins?.map(({ attributes }) => attributes['meshstore.cache.origin']).sort()).toEqual(['computed', 'hit'])
    expect(count(metrics.get('meshstore.sweep.duration'))).toBe(1)
    expect(count(metrics.get('meshstore.backup.duration'))).toBe(1)
    expect(metrics.get('meshstore.readable')?.dataPoints[0]?.value).toBe(1)
    expect(metrics.get('meshstore.writable')?.dataPoints[0]?.value).toBe(1)
    expect(metrics.get('meshstore.problems')?.dataPoints ?? []).toEqual([])
    // The sweep has deleted the path: the update of its end invalidated it.
    expect(count(metrics.get('meshstore.rows'))).toBe(1)
    expect(count(metrics.get('meshstore.size'))).toBeGreaterThan(4_096)
    expect(metrics.has('meshstore.backup.age')).toBe(true)
    expect(metrics.has('meshstore.wal.size')).toBe(store.dialect === 'sqlite')

    const names = spans.getFinishedSpans().map(({ name }) => name)
    for (const name of [
      'nodes.get',
      'meshstore.transaction',
      'meshstore.commit',
      'meshstore.cache',
      'meshstore.backup',
    ])
      expect(names).toContain(name)
    const failed = spans.getFinishedSpans().find(({ attributes }) => attributes['error.type'] === 'TypeError')
    expect(failed).toMatchObject({ name: 'meshstore.transaction', status: { code: 2, message: 'TypeError' } })

    const everything = [
      ...metrics.values(),
      ...spans.getFinishedSpans().map(({ name, attributes, status, events }) => ({ name, attributes, status, events })),
    ]
    expect(JSON.stringify(everything)).not.toContain(SECRET)

    instrumented[Symbol.dispose]()
    spans.reset()
    await store.nodes.get(SECRET)
    expect(spans.getFinishedSpans()).toEqual([])
    await meterProvider.shutdown()
  })

  test('a write that finds the queue full is an error by its code', async () => {
    await using opened = await backend.open({ maxPendingWrites: 2 })
    const { store } = opened
    const { meterProvider, tracerProvider, collect } = observed()
    using _instrumented = instrument(store, { meterProvider, tracerProvider, spans: false, statements: false })
    const written = await Promise.allSettled(
      Array.from({ length: 20 }, (_, at) => store.nodes.create({ ...node, nodeId: `${SECRET} ${at}` })),
    )
    const refused = written.filter(({ status }) => status === 'rejected').length
    expect(refused).toBeGreaterThan(0)
    const errors = (await collect()).get('meshstore.errors')
    expect(errors?.dataPoints).toMatchObject([
      { value: refused, attributes: { 'error.type': 'BUSY', 'meshstore.event': 'commit' } },
    ])
    await meterProvider.shutdown()
  })

  test('a subscriber lags behind until it asks for the next change', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const { meterProvider, tracerProvider, collect } = observed()
    using _instrumented = instrument(store, { meterProvider, tracerProvider, spans: false })
    const lag = async (): Promise<unknown> => (await collect()).get('meshstore.subscriber.lag')?.dataPoints[0]?.value
    expect(await lag()).toBe(0)
    const changes = store.changes()
    await changes.ready()
    await store.nodes.create(node)
    await changes.next()
    expect(await lag()).toBeGreaterThan(0)
    expect(count((await collect()).get('meshstore.subscriber.count'))).toBe(1)
    const next = changes.next()
    await vi.waitUntil(async () => (await lag()) === 0, { timeout: 60_000 })
    await changes.return()
    await next
    expect(await lag()).toBe(0)
    await meterProvider.shutdown()
  })

  test('what the replication ships is counted', async () => {
    using folder = temporaryFolder()
    await using opened = await backend.open({ replicate: { to: folder.file(SECRET), everySeconds: 0.05 } })
    const { store } = opened
    const { meterProvider, tracerProvider, collect } = observed()
    using _instrumented = instrument(store, { meterProvider, tracerProvider, spans: false })
    await store.flushReplica()
    await store.nodes.create(node)
    await store.flushReplica()
    const metrics = await collect()
    for (const name of ['meshstore.replication.rows', 'meshstore.replication.segments', 'meshstore.replication.io'])
      expect(count(metrics.get(name)), name).toBeGreaterThan(0)
    expect(metrics.get('meshstore.replication.lag')?.dataPoints[0]?.value).toBeGreaterThanOrEqual(0)
    expect(JSON.stringify([...metrics.values()])).not.toContain(SECRET)
    await meterProvider.shutdown()
  })

  test('a problem that is over is reported as none', async () => {
    const { meterProvider, collect } = observed()
    const health = vi.fn(async () => HEALTH)
    const store = { dialect: 'sqlite', health, stats: async () => STATS } as const
    using _recording = recordMetrics(store, meterProvider, { statements: false })
    const problems = async () => (await collect()).get('meshstore.problems')?.dataPoints.map(({ value }) => value)
    expect(await problems()).toEqual([1])
    health.mockResolvedValue({ ...HEALTH, problems: [] })
    expect(await problems()).toEqual([0])
    await meterProvider.shutdown()
  })

  test('a database that does not answer is reported as such', async () => {
    await using opened = await backend.open()
    const { meterProvider, tracerProvider, spans, collect } = observed()
    using _instrumented = instrument(opened.store, { meterProvider, tracerProvider, spans: false })
    await opened.store.close()
    const metrics = await collect()
    expect(metrics.get('meshstore.readable')?.dataPoints[0]?.value).toBe(0)
    expect(metrics.get('meshstore.problems')?.dataPoints.map(({ attributes }) => attributes['error.type'])).toEqual([
      'CLOSED',
    ])
    expect(spans.getFinishedSpans()).toEqual([])
    await meterProvider.shutdown()
  })
})

/** Which histograms were asked for, and a provider that the library cannot know as the SDK's. */
function watched(meterProvider: MeterProvider): { readonly asked: string[]; readonly provider: ApiMeterProvider } {
  const asked: string[] = []
  const getMeter = meterProvider.getMeter.bind(meterProvider)
  const provider: ApiMeterProvider = {
    getMeter: (...of) => {
      const meter = getMeter(...of)
      const createHistogram = meter.createHistogram.bind(meter)
      meter.createHistogram = (name, options) => {
        asked.push(name)
        return createHistogram(name, options)
      }
      return meter
    },
  }
  return { asked, provider }
}

const still = (dialect: 'sqlite' | 'postgresql' = 'sqlite') =>
  ({ dialect, health: async () => HEALTH, stats: async () => STATS }) as const

test('sums of the library are the same as the histogram of the SDK, and are what a provider gets by default', async () => {
  const seen: { readonly points: readonly object[] }[] = []
  const commits: (readonly object[])[] = []
  // One after the other: events belong to the process.
  for (const form of ['given', 'added', 'histogram'] as const) {
    const { meterProvider, collect, summed } = observed()
    const { asked, provider } = watched(meterProvider)
    if (form !== 'histogram') meterProvider.getMeter = provider.getMeter
    using _recording = recordMetrics(still(), form === 'histogram' ? provider : meterProvider, {
      statements: form === 'given' ? summed : true,
    })
    expect(asked).toContain('meshstore.transaction.duration')
    expect(asked.includes('db.client.operation.duration'), form).toBe(form === 'histogram')
    const { asyncEnd } = tracingChannel<unknown, object>('meshstore:statement')
    for (const milliseconds of [0.005, 0.01, 0.02, 7, 20_000]) asyncEnd.publish({ name: 'a', milliseconds })
    asyncEnd.publish({ name: 'a', milliseconds: 1, error: new TypeError(SECRET) })
    asyncEnd.publish({ name: 'b', milliseconds: 2 })
    const { asyncEnd: committed } = tracingChannel<unknown, object>('meshstore:commit')
    for (const batch of [1, 7, 2_000]) committed.publish({ batch, milliseconds: batch })
    committed.publish({ batch: 0, milliseconds: 1, error: new TypeError(SECRET) })
    const metrics = await collect()
    const { descriptor, dataPoints } = metrics.get('db.client.operation.duration') as MetricData
    commits.push(
      ['meshstore.commit.duration', 'meshstore.commit.writes'].flatMap((name) =>
        (metrics.get(name) as MetricData).dataPoints.map(({ attributes, value }) => ({ attributes, value })),
      ),
    )
    await meterProvider.shutdown()
    const { name, unit, description } = descriptor
    const points = dataPoints
      .map(({ attributes, value }) => ({ attributes, value }))
      .toSorted((one, other) => (JSON.stringify(one.attributes) < JSON.stringify(other.attributes) ? -1 : 1))
    seen.push({ ...{ name, unit, description }, points })
  }
  expect(seen[0]).toEqual(seen[2])
  expect(seen[1]).toEqual(seen[2])
  expect(seen[0]?.points.length).toBe(3)
  expect(commits[0]).toEqual(commits[2])
  expect(commits[1]).toEqual(commits[2])
  expect(commits[0]?.length).toBe(3)
  expect(JSON.stringify(seen)).not.toContain(SECRET)
})

test.each([
  ['a view', () => new MeterProvider({ ...read(), views: [{ instrumentName: '*', aggregation: { type: 3 } }] })],
  ['delta temporality', () => new MeterProvider(read({ temporality: AggregationTemporality.DELTA }))],
  ['another aggregation', () => new MeterProvider(read({ aggregation: 5 }))],
])('a provider with %s gets the histogram of the SDK', async (_name, make) => {
  const meterProvider = make()
  const { asked, provider } = watched(meterProvider)
  meterProvider.getMeter = provider.getMeter
  using _recording = recordMetrics(still(), meterProvider, { statements: true })
  expect(asked).toContain('db.client.operation.duration')
  await meterProvider.shutdown()
})

test('stores of one provider, one after the other or at once, share their sums: each series is there once', async () => {
  const { meterProvider, collect } = observed()
  const { asyncEnd } = tracingChannel<unknown, object>('meshstore:statement')
  const publish = (): void => asyncEnd.publish({ name: 'a', milliseconds: 1 })
  recordMetrics(still(), meterProvider, { statements: true })[Symbol.dispose]()
  {
    using _sqlite = recordMetrics(still(), meterProvider, { statements: true })
    using _postgres = recordMetrics(still('postgresql'), meterProvider, { statements: true })
    for (let at = 0; at < 3; at++) publish()
  }
  using _again = recordMetrics(still(), meterProvider, { statements: true })
  publish()
  const { dataPoints } = (await collect()).get('db.client.operation.duration') as MetricData
  const counts = dataPoints.map(({ attributes, value }) => [attributes['db.system.name'], (value as Histogram).count])
  expect(counts).toEqual([
    ['sqlite', 4],
    ['postgresql', 3],
  ])
  await meterProvider.shutdown()
})

test('spans are made only for a provider of them', async () => {
  const { meterProvider, tracerProvider, spans } = observed()
  await using store = await openStorage('sqlite::memory:')
  const asked = vi.spyOn(trace.getTracerProvider(), 'getTracer')
  {
    using _instrumented = instrument(store, { meterProvider })
    expect(asked).not.toHaveBeenCalled()
  }
  trace.setGlobalTracerProvider(tracerProvider)
  using _instrumented = instrument(store, { meterProvider })
  await store.nodes.get(SECRET)
  expect(spans.getFinishedSpans().map(({ name }) => name)).toEqual(['nodes.get'])
  await meterProvider.shutdown()
})

test('on SQLite it is counted how often the log began anew', async () => {
  using folder = temporaryFolder()
  await using store = await openStorage(folder.file('mesh.db'))
  await store.nodes.create(node)
  // After a second without writes a checkpoint empties the log, and the next write begins it anew.
  const hasBegunAnew = async (): Promise<boolean> => {
    await store.nodes.recordRoutes(SECRET)
    return ((await store.stats()).walRestarts ?? 0) > 0
  }
  expect(await hasBegunAnew()).toBe(false)
  await vi.waitUntil(hasBegunAnew, { timeout: 60_000, interval: 1_200 })
})

describePostgres('OpenTelemetry', () => {
  test('reports a move, and one that was stopped', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    await using store = await openStorage(folder.file('mesh.db'))
    await store.nodes.create(node)
    const { meterProvider, tracerProvider, spans, collect } = observed()
    using _instrumented = instrument(store, { meterProvider, tracerProvider })
    const stop = new AbortController()
    const steps = new Set<unknown>()
    const moved = store.moveTo(database.url, {
      signal: stop.signal,
      onProgress: ({ step }) => step === 'verifying' && stop.abort(new RangeError(SECRET)),
    })
    await expect(moved).rejects.toThrow(RangeError)
    const collecting: Promise<void>[] = []
    await store.moveTo(database.url, {
      onProgress: () => {
        collecting.push(
          collect().then((metrics) => {
            for (const { attributes, value } of metrics.get('meshstore.move.rows')?.dataPoints ?? [])
              if (typeof value === 'number') steps.add(attributes['meshstore.move.step'])
          }),
        )
      },
    })
    await Promise.all(collecting)
    const metrics = await collect()
    const outcomes = metrics
      .get('meshstore.move.duration')
      ?.dataPoints.map(({ attributes }) => attributes['error.type'])
    expect(outcomes?.toSorted()).toEqual(['RangeError', undefined])
    expect(count(metrics.get('meshstore.move.pause'))).toBe(1)
    expect(steps.size).toBeGreaterThan(0)
    expect(count(metrics.get('meshstore.move.rows')), 'no move runs').toBe(0)
    const attributes = spans.getFinishedSpans().filter(({ name }) => name === 'meshstore.move')
    expect(attributes.map((span) => span.attributes['meshstore.rows'])).toEqual([expect.any(Number), 1])
    expect(JSON.stringify([...metrics.values()])).not.toContain(SECRET)
    await meterProvider.shutdown()
  })
})

/** Every channel's event with all that it may tell. */
const FULL: { readonly [N in (typeof EVENTS)[number]]: Events[N] } = {
  statement: { name: 'nodes.get', milliseconds: 1, rows: 1, error: new TypeError() },
  transaction: { readOnly: false, attempts: 2, milliseconds: 1, error: new TypeError() },
  commit: { batch: 1, milliseconds: 1, error: new TypeError() },
  cache: { origin: 'computed', milliseconds: 1, notStored: 'CONFLICT', error: new TypeError() },
  sweep: { trigger: 'timer', expired: 1, invalidated: 1, evicted: 1, milliseconds: 1, error: new TypeError() },
  backup: { trigger: 'call', bytes: 1, milliseconds: 1, error: new TypeError() },
  replication: {
    trigger: 'ship',
    generation: 1,
    segment: 1,
    rows: 1,
    bytes: 1,
    milliseconds: 1,
    error: new TypeError(),
  },
  move: { step: 'copying', rows: 1, followed: 1, attempts: 1, pauseMs: 1, milliseconds: 1, error: new TypeError() },
  failover: { milliseconds: 1, error: new TypeError() },
}
const RETRY: Events['retry'] = { event: 'transaction', reason: 'serialization_failure' }
const HEALTH: Health = {
  canRead: true,
  canWrite: true,
  readMs: 1,
  writeMs: 1,
  lastBackup: new Date(),
  problems: [{ code: 'BUSY', message: '' }],
  replication: { place: '', upTo: new Date(), behindSeconds: 1, standsBy: false, leftBehind: [], problem: undefined },
  subscribers: { open: 1, behindSeconds: 1 },
}
const STATS: StorageStats = {
  rows: { nodes: 1, policies: 1, pathCache: 1 },
  expiredPaths: 0,
  bytes: 1,
  walBytes: 1,
  walRestarts: 1,
  queuedWrites: 1,
  schemaVersion: '',
}
const KINDS = { HISTOGRAM: 'histogram', COUNTER: 'counter', OBSERVABLE_GAUGE: 'gauge', OBSERVABLE_COUNTER: 'counter' }
const PAGE = join(import.meta.dirname, '../docs/operations/monitoring.md')
const TABLE = /\| Name \| Kind \|.*?\n\n/s

test('the page has every metric with its kind, unit and attributes (UPDATE_METRICS=1 writes it)', async () => {
  const { meterProvider, collect } = observed()
  const store = { dialect: 'sqlite', health: async () => HEALTH, stats: async () => STATS } as const
  using _recording = recordMetrics(store, meterProvider, { statements: true })
  for (const name of EVENTS) {
    const { start, asyncEnd } = tracingChannel<unknown, object>(`meshstore:${name}`)
    const done = { ...FULL[name], error: undefined }
    for (const event of [FULL[name], done]) {
      start.publish(event)
      asyncEnd.publish(event)
    }
  }
  tracingChannel<unknown, object>('meshstore:move').start.publish(FULL.move)
  tracingChannel<unknown, object>('meshstore:retry').asyncEnd.publish(RETRY)
  const metrics = [...(await collect()).values()]
  const rows = metrics.map(({ descriptor, dataPoints }) => {
    const { name, type, unit, description } = descriptor as MetricData['descriptor'] & { type: keyof typeof KINDS }
    const attributes = new Set(dataPoints.flatMap((point) => Object.keys(point.attributes)))
    const named = [...attributes].toSorted().map((each) => `\`${each}\``)
    return `| \`${name}\` | ${KINDS[type]} | \`${unit}\` | ${named.join(', ')} | ${description} |`
  })
  await meterProvider.shutdown()
  const table = ['| Name | Kind | Unit | Attributes | What it is |', '|---|---|---|---|---|', ...rows.toSorted()].join(
    '\n',
  )
  const page = readFileSync(PAGE, 'utf8')
  expect(rows.length).toBeGreaterThan(30)
  if (process.env.UPDATE_METRICS === '1')
    writeFileSync(
      PAGE,
      page.replace(TABLE, () => `${table}\n\n`),
    )
  else expect(TABLE.exec(page)?.[0].trim()).toBe(table)
})
