/** Sizes and states, asked for when an exporter collects. `health()` commits one small write each time. */
import type { BatchObservableResult, Meter, Observable } from '@opentelemetry/api'
import type { Health, Meshstore, StorageStats } from '../api.ts'
import { machineTime } from '../event-loop.ts'
import type { MoveEvent } from '../tracing-events.ts'
import type { Listeners } from './channels.ts'

export type Observed = Pick<Meshstore, 'dialect' | 'health' | 'stats'>

type Report<T> = (result: BatchObservableResult, found: T) => void

class Gauges<T> {
  readonly all: Observable[] = []
  readonly #meter: Meter
  readonly #reports: Report<T>[] = []

  constructor(meter: Meter) {
    this.#meter = meter
  }

  /** `read` returns `undefined` for what there is not. */
  gauge(name: string, unit: string, description: string, read: (found: T) => number | undefined): void {
    const gauge = this.#meter.createObservableGauge(name, { unit, description })
    this.#add(gauge, read)
  }

  counter(name: string, unit: string, description: string, read: (found: T) => number | undefined): void {
    this.#add(this.#meter.createObservableCounter(name, { unit, description }), read)
  }

  /** One value for each key, which is an attribute. */
  groups(
    name: string,
    unit: string,
    description: string,
    of: { attribute: string; valuesOf: (found: T) => Iterable<readonly [string, number]> },
  ): void {
    const gauge = this.#meter.createObservableGauge(name, { unit, description })
    this.all.push(gauge)
    // A reader goes on reporting the last value of a key: what is gone has to be told.
    const seen = new Set<string>()
    this.#reports.push((result, found) => {
      const values = new Map(of.valuesOf(found))
      for (const key of values.keys()) seen.add(key)
      for (const key of seen) result.observe(gauge, values.get(key) ?? 0, { [of.attribute]: key })
    })
  }

  #add(observable: Observable, read: (found: T) => number | undefined): void {
    this.all.push(observable)
    this.#reports.push((result, found) => {
      const value = read(found)
      if (value !== undefined) result.observe(observable, value)
    })
  }

  report(result: BatchObservableResult, found: T): void {
    for (const report of this.#reports) report(result, found)
  }
}

const secondsSince = (then: Date | undefined): number | undefined =>
  then && Math.max(0, (machineTime().getTime() - then.getTime()) / 1_000)

function healthGauges(meter: Meter): Gauges<Health> {
  const health = new Gauges<Health>(meter)
  health.gauge('meshstore.readable', '1', 'Whether a test read works: 1 or 0', ({ canRead }) => Number(canRead))
  health.gauge('meshstore.writable', '1', 'Whether a test write is committed: 1 or 0', ({ canWrite }) =>
    Number(canWrite),
  )
  health.groups('meshstore.problems', '{problem}', 'Problems that health() reports, by code', {
    attribute: 'error.type',
    valuesOf: ({ problems }) =>
      [...Map.groupBy(problems, ({ code }) => code)].map(([code, { length }]) => [code, length]),
  })
  health.gauge('meshstore.backup.age', 's', 'Time since the last backup finished', ({ lastBackup }) =>
    secondsSince(lastBackup),
  )
  health.gauge(
    'meshstore.replication.lag',
    's',
    'Age of the newest moment that the replica can restore',
    ({ replication }) => replication?.behindSeconds,
  )
  health.gauge(
    'meshstore.subscriber.count',
    '{subscriber}',
    'Streams of changes that are read',
    ({ subscribers }) => subscribers?.open ?? 0,
  )
  health.gauge(
    'meshstore.subscriber.lag',
    's',
    'Time since the slowest subscriber had every change',
    ({ subscribers }) => subscribers?.behindSeconds ?? 0,
  )
  return health
}

function sizeGauges(meter: Meter, store: Observed): Gauges<StorageStats> {
  const stats = new Gauges<StorageStats>(meter)
  stats.groups('meshstore.rows', '{row}', 'Rows, by table', {
    attribute: 'db.collection.name',
    valuesOf: ({ rows }) => Object.entries(rows),
  })
  stats.gauge('meshstore.size', 'By', 'Size of the database', ({ bytes }) => bytes)
  const ofFile = (value: number): number | undefined => (store.dialect === 'sqlite' ? value : undefined)
  stats.gauge('meshstore.wal.size', 'By', 'Size of the write-ahead log, on SQLite', ({ walBytes }) => ofFile(walBytes))
  stats.counter(
    'meshstore.wal.restarts',
    '{restart}',
    'Times that the log began anew after a checkpoint, on SQLite',
    ({ walRestarts }) => walRestarts,
  )
  stats.gauge('meshstore.queue.writes', '{write}', 'Writes that wait', ({ queuedWrites }) => queuedWrites)
  return stats
}

export function observe(store: Observed, meter: Meter, listeners: Listeners): () => void {
  const health = healthGauges(meter)
  const sizes = sizeGauges(meter, store)
  const moves = new Gauges<ReadonlySet<MoveEvent>>(meter)
  moves.groups('meshstore.move.rows', '{row}', 'Rows that the running move has copied, by its step', {
    attribute: 'meshstore.move.step',
    valuesOf: (running) => Array.from(running, ({ step, rows }) => [step, rows] as const),
  })
  const running = new Set<MoveEvent>()
  listeners.onStart('move', (move) => running.add(move))
  listeners.onEnd('move', (move) => running.delete(move))

  const report = async (result: BatchObservableResult): Promise<void> => {
    moves.report(result, running)
    // Before the test write of health(), which waits in the queue.
    const counting = store.stats().catch(() => undefined)
    health.report(result, await store.health())
    const stats = await counting
    if (stats !== undefined) sizes.report(result, stats)
  }
  const observed = [...health.all, ...sizes.all, ...moves.all]
  meter.addBatchObservableCallback(report, observed)
  return () => meter.removeBatchObservableCallback(report, observed)
}
