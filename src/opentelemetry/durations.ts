import type { Attributes, Histogram, Meter } from '@opentelemetry/api'
import { codeOf } from './channels.ts'
import type { Descriptor } from './summed-histogram.ts'

/** From 10 µs, a read from memory, to 10 s. */
export const SHORT = [0.00001, 0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]
/** From 10 ms to an hour. */
const LONG = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_600]

export const histogramOf = (meter: Meter, { name, unit, description, bounds }: Descriptor): Histogram =>
  meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...bounds] } })

type Of = readonly [name: string, description: string]

const durationOf = (meter: Meter, [name, description]: Of, bounds: number[]): Histogram =>
  histogramOf(meter, { name, unit: 's', description, bounds })

export const shortDuration = (meter: Meter, ...of: Of): Histogram => durationOf(meter, of, SHORT)
export const longDuration = (meter: Meter, ...of: Of): Histogram => durationOf(meter, of, LONG)

export const seconds = (milliseconds = 0): number => milliseconds / 1_000
export const failed = (error: unknown): Attributes => (error === undefined ? {} : { 'error.type': codeOf(error) })
