import type { Attributes, BatchObservableResult, Histogram, Meter, MeterProvider, Observable } from '@opentelemetry/api'
import type { Meshstore } from '../api.ts'
import { codeOf, Listeners } from './channels.ts'

/** From 10 µs, a read from memory, to 10 s. */
const SECONDS = [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
const WRITES = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000]

const seconds = (milliseconds = 0): number => milliseconds / 1_000
const failed = (error: unknown): Attributes => (error === undefined ? {} : { 'error.type': codeOf(error) })

export function recordMetrics(
  store: Meshstore,
  provider: MeterProvider,
  { statements }: { readonly statements: boolean },
): Disposable {
  const meter = provider.getMeter('meshstore')
  const listeners = recordEvents(meter)
  if (statements) recordStatements(store, meter, listeners)
  const stop = observe(store, meter)
  return {
    [Symbol.dispose]() {
      listeners[Symbol.dispose]()
      stop()
    },
  }
}

const durationOf = (meter: Meter, name: string, description: string): Histogram =>
  meter.createHistogram(name, { unit: 's', description, advice: { explicitBucketBoundaries: SECONDS } })

function recordStatements(store: Meshstore, meter: Meter, listeners: Listeners): void {
  const statements = durationOf(meter, 'db.client.operation.duration', 'Duration of statements')
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
    statements.record(seconds(milliseconds), error === undefined ? attributes : { ...attributes, ...failed(error) })
  })
}

function recordEvents(meter: Meter): Listeners {
  const listeners = new Listeners()
  const duration = (name: string, description: string): Histogram => durationOf(meter, name, description)

  const transactions = duration('meshstore.transaction.duration', 'Duration of callers’ transactions, retries included')
  const retries = meter.createCounter('meshstore.transaction.retries', {
    unit: '{retry}',
    description: 'Transactions that ran again after a conflict',
  })
  listeners.onEnd('transaction', ({ readOnly, attempts, milliseconds, error }) => {
    transactions.record(seconds(milliseconds), { 'meshstore.read_only': readOnly, ...failed(error) })
    if (attempts > 1) retries.add(attempts - 1)
  })

  const commits = duration('meshstore.commit.duration', 'Duration of group commits')
  const writes = meter.createHistogram('meshstore.commit.writes', {
    unit: '{write}',
    description: 'Writes that one commit holds',
    advice: { explicitBucketBoundaries: WRITES },
  })
  listeners.onEnd('commit', ({ batch, milliseconds, error }) => {
    commits.record(seconds(milliseconds), failed(error))
    writes.record(batch)
  })

  const requests = duration(
    'meshstore.cache.duration',
    'Duration of getOrCompute() and resolve(), by origin of the bundle',
  )
  const notStored = meter.createCounter('meshstore.cache.not_stored', {
    unit: '{bundle}',
    description: 'Computed bundles that were not stored, by reason',
  })
  listeners.onEnd('cache', ({ origin, milliseconds, notStored: reason, error }) => {
    requests.record(seconds(milliseconds), { 'meshstore.cache.origin': origin ?? 'failed', ...failed(error) })
    if (reason !== undefined) notStored.add(1, { 'meshstore.reason': reason })
  })

  const sweeps = duration('meshstore.sweep.duration', 'Duration of sweeps of the path cache')
  const swept = meter.createCounter('meshstore.sweep.paths', {
    unit: '{path}',
    description: 'Deleted paths, by reason',
  })
  listeners.onEnd('sweep', ({ expired = 0, invalidated = 0, evicted = 0, milliseconds, error }) => {
    sweeps.record(seconds(milliseconds), failed(error))
    for (const [reason, count] of Object.entries({ expired, invalidated, evicted }))
      if (count > 0) swept.add(count, { 'meshstore.reason': reason })
  })

  const backups = duration('meshstore.backup.duration', 'Duration of backups')
  listeners.onEnd('backup', ({ trigger, milliseconds, error }) =>
    backups.record(seconds(milliseconds), { 'meshstore.trigger': trigger, ...failed(error) }),
  )
  return listeners
}

/** Sizes and states, asked for when an exporter collects. `health()` commits one small write each time. */
function observe(store: Meshstore, meter: Meter): () => void {
  const gauge = (name: string, unit: string, description: string) =>
    meter.createObservableGauge(name, { unit, description })
  const readable = gauge('meshstore.readable', '1', 'Whether a test read works: 1 or 0')
  const writable = gauge('meshstore.writable', '1', 'Whether a test write is committed: 1 or 0')
  const problems = gauge('meshstore.problems', '{problem}', 'Problems that health() reports, by code')
  const backupAge = gauge('meshstore.backup.age', 's', 'Time since the last backup finished')
  const rows = gauge('meshstore.rows', '{row}', 'Rows, by table')
  const bytes = gauge('meshstore.size', 'By', 'Size of the database')
  const walBytes = gauge('meshstore.wal.size', 'By', 'Size of the write-ahead log, on SQLite')
  const queued = gauge('meshstore.queue.writes', '{write}', 'Writes that wait')
  const observed: Observable[] = [readable, writable, problems, backupAge, rows, bytes, walBytes, queued]

  const report = async (result: BatchObservableResult): Promise<void> => {
    const health = await store.health()
    result.observe(readable, Number(health.canRead))
    result.observe(writable, Number(health.canWrite))
    const codes = Map.groupBy(health.problems, ({ code }) => code)
    for (const [code, { length }] of codes) result.observe(problems, length, { 'error.type': code })
    if (health.lastBackup !== undefined)
      result.observe(backupAge, Math.max(0, (Date.now() - health.lastBackup.getTime()) / 1_000))
    const stats = await store.stats().catch(() => undefined)
    if (stats === undefined) return
    for (const [table, count] of Object.entries(stats.rows))
      result.observe(rows, count, { 'db.collection.name': table })
    result.observe(bytes, stats.bytes)
    if (store.dialect === 'sqlite') result.observe(walBytes, stats.walBytes)
    result.observe(queued, stats.queuedWrites)
  }
  meter.addBatchObservableCallback(report, observed)
  return () => meter.removeBatchObservableCallback(report, observed)
}
