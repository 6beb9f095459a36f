/**
 * Adds `StatementMetrics` to the readers of a provider that is finished. OpenTelemetry's SDK has no call for that, so this file looks at
 * its fields. Whatever it does not know as the SDK's 2.x leaves the provider as it is.
 */
import type { MeterProvider } from '@opentelemetry/api'
import { StatementMetrics } from './summed-statements.ts'

/** Numbers and names of the SDK's enums. */
const [CUMULATIVE, DEFAULT, HISTOGRAM] = [1, 0, 'HISTOGRAM']

interface Reader {
  selectAggregationTemporality(instrument: string): unknown
  selectAggregation(instrument: string): { readonly type?: unknown }
  _metricProducers: readonly unknown[]
}

const added = new WeakMap<MeterProvider, StatementMetrics>()

/**
 * The sums that the provider's readers report: the same for each store of the provider, and, like an instrument of the SDK, as long as
 * there is the provider. `undefined`: a view, a reader's own aggregation or delta temporality needs the SDK's histogram.
 */
export function summedIn(provider: MeterProvider): StatementMetrics | undefined {
  const known = added.get(provider)
  if (known !== undefined) return known
  const readers = readersOf(provider)
  if (readers === undefined || readers.length === 0 || !readers.every(takesSums)) return undefined
  const sums = new StatementMetrics()
  for (const reader of readers) reader._metricProducers = [...reader._metricProducers, sums]
  added.set(provider, sums)
  return sums
}

function readersOf(provider: MeterProvider): readonly Reader[] | undefined {
  const { _sharedState: state } = provider as {
    _sharedState?: {
      viewRegistry?: { _registeredViews?: unknown }
      metricCollectors?: readonly { _metricReader?: Partial<Reader> }[]
    }
  }
  const views = state?.viewRegistry?._registeredViews
  if (!Array.isArray(views) || views.length > 0 || !Array.isArray(state?.metricCollectors)) return undefined
  const readers = state.metricCollectors.map(({ _metricReader }) => _metricReader)
  return readers.every(isReader) ? readers : undefined
}

const isReader = (reader: Partial<Reader> | undefined): reader is Reader =>
  Array.isArray(reader?._metricProducers) &&
  typeof reader.selectAggregation === 'function' &&
  typeof reader.selectAggregationTemporality === 'function'

const takesSums = (reader: Reader): boolean =>
  reader.selectAggregationTemporality(HISTOGRAM) === CUMULATIVE && reader.selectAggregation(HISTOGRAM).type === DEFAULT
