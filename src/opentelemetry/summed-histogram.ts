/** A histogram that the library sums up itself: the SDK's takes 2 µs, and after a commit up to 10, to record one value. */
import { present } from '../errors.ts'

/** Numbers of the SDK's enums: a double, a histogram's data point, cumulative. */
const [DOUBLE, HISTOGRAM_POINT, CUMULATIVE] = [1, 0, 1]

export type SummedAttributes = Readonly<Record<string, string>>

/** The sums of one set of attributes. */
export interface Sums {
  readonly attributes: SummedAttributes
  readonly counts: number[]
  sum: number
  min: number
  max: number
}

export interface Descriptor {
  readonly name: string
  readonly unit: string
  readonly description: string
  readonly bounds: readonly number[]
}

export class SummedHistogram {
  readonly #descriptor: Descriptor
  readonly #bounds: readonly number[]
  readonly #sums = new Map<string, Sums>()

  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor
    this.#bounds = descriptor.bounds
  }

  /** `key` stands for the attributes. */
  sumsOf(key: string, attributes: SummedAttributes): Sums {
    const sums = this.#sums.get(key) ?? this.#empty(attributes)
    this.#sums.set(key, sums)
    return sums
  }

  #empty(attributes: SummedAttributes): Sums {
    const counts = Array.from({ length: this.#bounds.length + 1 }, () => 0)
    return { attributes, counts, sum: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY }
  }

  add(sums: Sums, value: number): void {
    let at = 0
    for (const bound of this.#bounds) {
      if (!(value > bound)) break
      at++
    }
    sums.counts[at] = present(sums.counts[at]) + 1
    sums.sum += value
    if (value < sums.min) sums.min = value
    if (value > sums.max) sums.max = value
  }

  /** As the SDK's readers want it; none before the first value. */
  metrics(startTime: [number, number], endTime: [number, number]): object[] {
    const { bounds: boundaries, ...descriptor } = this.#descriptor
    const dataPoints = Array.from(this.#sums.values(), ({ attributes, counts, ...rest }) => ({
      startTime,
      endTime,
      attributes,
      value: {
        ...rest,
        buckets: { boundaries, counts: [...counts] },
        count: counts.reduce((sum, each) => sum + each, 0),
      },
    }))
    if (dataPoints.length === 0) return []
    return [
      {
        descriptor: { ...descriptor, type: 'HISTOGRAM', valueType: DOUBLE, advice: {} },
        aggregationTemporality: CUMULATIVE,
        dataPointType: HISTOGRAM_POINT,
        dataPoints,
      },
    ]
  }
}
