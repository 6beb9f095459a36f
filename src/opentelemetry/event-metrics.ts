import type { Counter, Meter } from '@opentelemetry/api'
import { EVENTS, type Listeners } from './channels.ts'
import { failed, histogramOf, longDuration, seconds, shortDuration } from './durations.ts'
import { COMMITS, type StatementMetrics, WRITES } from './summed-statements.ts'

/** `summed`: sums of the library's own for what happens most often. */
export function recordEvents(meter: Meter, listeners: Listeners, summed: StatementMetrics | undefined): void {
  recordErrors(meter, listeners)
  recordTransactions(meter, listeners)
  recordCommits(meter, listeners, summed)
  recordCache(meter, listeners)
  recordOperations(meter, listeners)
}

/** An error of a statement is also one of its transaction: sum over one kind of event. */
export const errorsOf = (meter: Meter): Counter =>
  counterOf(meter, 'meshstore.errors', '{error}', 'Events that failed, by code')

const counterOf = (meter: Meter, name: string, unit: string, description: string): Counter =>
  meter.createCounter(name, { unit, description })

/** `statement` is left out: to listen to it makes each read slower. */
function recordErrors(meter: Meter, listeners: Listeners): void {
  const errors = errorsOf(meter)
  for (const event of EVENTS.filter((name) => name !== 'statement')) {
    listeners.onEnd(event, ({ error }) => {
      if (error !== undefined) errors.add(1, { ...failed(error), 'meshstore.event': event })
    })
  }
}

function recordTransactions(meter: Meter, listeners: Listeners): void {
  const transactions = shortDuration(
    meter,
    'meshstore.transaction.duration',
    'Duration of callers’ transactions, retries included',
  )
  listeners.onEnd('transaction', ({ readOnly, milliseconds, error }) =>
    transactions.record(seconds(milliseconds), { 'meshstore.read_only': readOnly, ...failed(error) }),
  )
  const retries = counterOf(
    meter,
    'meshstore.retries',
    '{retry}',
    'Statements, commits and transactions that began again, by reason',
  )
  listeners.onEnd('retry', ({ event, reason }) =>
    retries.add(1, { 'meshstore.event': event, 'meshstore.reason': reason }),
  )
}

function recordCommits(meter: Meter, listeners: Listeners, summed: StatementMetrics | undefined): void {
  const record = summed?.recordCommit.bind(summed) ?? byHistograms(meter)
  listeners.onEnd('commit', ({ batch, milliseconds = 0, error }) => record(batch, milliseconds, error))
}

function byHistograms(meter: Meter): StatementMetrics['recordCommit'] {
  const [commits, writes] = [histogramOf(meter, COMMITS), histogramOf(meter, WRITES)]
  return (batch, milliseconds, error) => {
    commits.record(seconds(milliseconds), failed(error))
    if (error === undefined) writes.record(batch)
  }
}

function recordCache(meter: Meter, listeners: Listeners): void {
  const requests = shortDuration(
    meter,
    'meshstore.cache.duration',
    'Duration of getOrCompute() and resolve(), by origin of the bundle',
  )
  const notStored = counterOf(
    meter,
    'meshstore.cache.not_stored',
    '{bundle}',
    'Computed bundles that were not stored, by reason',
  )
  listeners.onEnd('cache', ({ origin, milliseconds, notStored: reason, error }) => {
    requests.record(seconds(milliseconds), { 'meshstore.cache.origin': origin ?? 'failed', ...failed(error) })
    if (reason !== undefined) notStored.add(1, { 'meshstore.reason': reason })
  })

  const sweeps = shortDuration(meter, 'meshstore.sweep.duration', 'Duration of sweeps of the path cache')
  const swept = counterOf(meter, 'meshstore.sweep.paths', '{path}', 'Deleted paths, by reason')
  listeners.onEnd('sweep', ({ expired = 0, invalidated = 0, evicted = 0, milliseconds, error }) => {
    sweeps.record(seconds(milliseconds), failed(error))
    for (const [reason, count] of Object.entries({ expired, invalidated, evicted }))
      if (count > 0) swept.add(count, { 'meshstore.reason': reason })
  })
}

/** Events of the operators' commands, and of their outcomes. */
function recordOperations(meter: Meter, listeners: Listeners): void {
  const backups = longDuration(meter, 'meshstore.backup.duration', 'Duration of backups')
  listeners.onEnd('backup', ({ trigger, milliseconds, error }) =>
    backups.record(seconds(milliseconds), { 'meshstore.trigger': trigger, ...failed(error) }),
  )

  const steps = shortDuration(meter, 'meshstore.replication.duration', 'Duration of the steps of the replication')
  const segments = counterOf(meter, 'meshstore.replication.segments', '{segment}', 'Segments that were shipped')
  const shippedRows = counterOf(meter, 'meshstore.replication.rows', '{row}', 'Rows in shipped segments')
  const shippedBytes = counterOf(meter, 'meshstore.replication.io', 'By', 'Bytes of shipped segments')
  listeners.onEnd('replication', ({ segment, rows = 0, bytes = 0, milliseconds, error }) => {
    steps.record(seconds(milliseconds), failed(error))
    if (segment === undefined) return
    segments.add(1)
    shippedRows.add(rows)
    shippedBytes.add(bytes)
  })

  const moves = longDuration(meter, 'meshstore.move.duration', 'Duration of live moves')
  const pauses = shortDuration(meter, 'meshstore.move.pause', 'How long moves paused the writes')
  listeners.onEnd('move', ({ pauseMs, milliseconds, error }) => {
    moves.record(seconds(milliseconds), failed(error))
    if (pauseMs !== undefined) pauses.record(seconds(pauseMs))
  })

  const failovers = longDuration(meter, 'meshstore.failover.duration', 'Time without a primary, by failover')
  listeners.onEnd('failover', ({ milliseconds, error }) => failovers.record(seconds(milliseconds), failed(error)))
}
