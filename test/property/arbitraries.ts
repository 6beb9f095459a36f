import fc from 'fast-check'
import type { Page, PathBundle, PathKey } from '../../src/index.ts'

/** Few, so that a program meets the same one again; their order by bytes is another one than by UTF-16 units. */
export const id = fc.constantFrom('a', 'a:b', 'b', '%', 'ä', '\u{e000}', '\u{1f600}')

export const names = fc.uniqueArray(fc.constantFrom('eth0', 'wlan0', 'lo', 'aodv', `"'\\ \u{1f600}`), { maxLength: 3 })
export const name = fc.constantFrom('eth0', 'lo', 'aodv', 'none')

const timestamps = fc.constantFrom(
  new Date(0),
  new Date('2001-02-03T04:05:06.789Z'),
  new Date('2100-01-01T00:00:00.001Z'),
)
/** Given or absent, or given as `undefined`. */
export const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined })
export const time = maybe(timestamps)

export const page: fc.Arbitrary<Page> = fc.record(
  { limit: maybe(fc.integer({ min: 1, max: 5 })), after: maybe(id) },
  { requiredKeys: [] },
)

export const prefix = maybe(fc.constantFrom('a', '%', '\u{1f600}', 'none'))
/** Options of a list in an order. `after`: a key, a place, or the number of a row that is there. */
export const selection = fc.record(
  { orderBy: maybe(fc.constant('updatedAt' as const)), descending: maybe(fc.boolean()), prefix },
  { requiredKeys: [] },
)
export const after = maybe(fc.oneof(id, fc.nat({ max: 6 }), fc.tuple(id, timestamps)))
export type After = string | number | [string, Date] | undefined
export function placeAfter<Row extends object>(
  key: string,
  which: After,
  rows: readonly Row[],
): string | Row | undefined {
  if (typeof which === 'number') return rows[which % Math.max(rows.length, 1)]
  return Array.isArray(which) ? ({ [key]: which[0], updatedAt: which[1] } as Row) : which
}

/** Which `ifUpdatedAt` an update carries. */
export const condition = fc.constantFrom('none', 'as read', 'stale')
export function ifUpdatedAt(which: string, row: { updatedAt: Date } | undefined): { ifUpdatedAt?: Date } {
  if (which === 'none') return {}
  const milliseconds = row?.updatedAt.getTime() ?? 0
  return { ifUpdatedAt: new Date(which === 'stale' ? milliseconds - 1 : milliseconds) }
}

const end = fc.constantFrom('a', 'a:b', '%')
/** Eighteen in all. */
export const pathKey: fc.Arbitrary<PathKey> = fc.record({ source: end, destination: end, k: fc.constantFrom(1, 11) })

export const bundle: fc.Arbitrary<PathBundle> = fc.record(
  {
    source: id,
    destination: id,
    primary: fc.array(fc.record({ nodes: fc.array(id, { maxLength: 3 }), latency_sum_ms: fc.integer() }), {
      maxLength: 2,
    }),
    alternatives: fc.constant([]),
  },
  { requiredKeys: ['source', 'destination', 'primary'] },
)
export const ttlSeconds = maybe(fc.constantFrom(0.001, 1, 30, 3_600))
