/** Which backups are kept: compared with a model that is slow and plain, and at the boundaries of hours, days, weeks, years. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { retained } from '../../src/backup/retention.ts'
import type { Retention } from '../../src/index.ts'
import { assertProperty } from '../support/properties.ts'

interface Backup {
  readonly createdAt: Date
}
type Period = 'hourly' | 'daily' | 'weekly'

const at = (time: string): Backup => ({ createdAt: new Date(time) })
const names = (kept: Map<Backup, string[]>): string[] =>
  [...kept.keys()].map(({ createdAt }) => createdAt.toISOString()).sort()

/** The ISO week as the standard describes it: the week's Thursday decides the year. */
function isoWeek(time: Date): string {
  const thursday = new Date(Date.UTC(time.getUTCFullYear(), time.getUTCMonth(), time.getUTCDate()))
  thursday.setUTCDate(thursday.getUTCDate() + 3 - ((thursday.getUTCDay() + 6) % 7))
  const first = Date.UTC(thursday.getUTCFullYear(), 0, 1)
  return `${thursday.getUTCFullYear()}-W${1 + Math.floor((thursday.getTime() - first) / (7 * 86_400_000))}`
}

const labels: Record<Period, (time: Date) => string> = {
  hourly: (time) => `${time.getUTCFullYear()}-${time.getUTCMonth()}-${time.getUTCDate()} ${time.getUTCHours()}`,
  daily: (time) => `${time.getUTCFullYear()}-${time.getUTCMonth()}-${time.getUTCDate()}`,
  weekly: isoWeek,
}

/** One backup at a time: it is kept for a period if it is the newest of it, and less than so many such are newer. */
function modelled(backups: readonly Backup[], keep: Retention): Map<Backup, string[]> {
  const kept = new Map<Backup, string[]>()
  const newer = (of: Backup): Backup[] =>
    backups.filter((other, index) => {
      const difference = other.createdAt.getTime() - of.createdAt.getTime()
      return difference > 0 || (difference === 0 && index < backups.indexOf(of))
    })
  for (const backup of backups) {
    const reasons: string[] = []
    if (newer(backup).length < (keep.last ?? 0)) reasons.push('last')
    for (const period of ['hourly', 'daily', 'weekly'] as const) {
      const label = labels[period]
      const periods = newer(backup).map((other) => label(other.createdAt))
      if (periods.includes(label(backup.createdAt))) continue
      if (new Set(periods).size < (keep[period] ?? 0)) reasons.push(period)
    }
    if (reasons.length > 0) kept.set(backup, reasons)
  }
  return kept
}

test('of random times, those are kept that the model keeps, for the same reasons', async () => {
  const year = { min: Date.parse('2019-12-20T00:00:00Z'), max: Date.parse('2027-01-10T00:00:00Z') }
  const time = fc.oneof(
    fc.integer(year),
    // On a boundary, or beside it.
    fc
      .tuple(fc.integer(year), fc.constantFrom(3_600_000, 86_400_000, 604_800_000), fc.constantFrom(-1, 0, 1))
      .map(([value, unit, beside]) => Math.floor(value / unit) * unit + beside),
    fc.integer({ min: 0, max: 200 }).map((hours) => Date.parse('2020-12-30T00:00:00Z') + hours * 1_800_000),
  )
  const backups = fc.array(
    time.map((value) => ({ createdAt: new Date(value) })),
    { maxLength: 40 },
  )
  const amount = fc.option(fc.integer({ min: 0, max: 12 }), { nil: undefined })
  const keep = fc.record({ last: amount, hourly: amount, daily: amount, weekly: amount })
  const property = fc.asyncProperty(backups, keep, async (all, rules) => {
    const kept = retained(all, rules)
    const expected = modelled(all, rules)
    expect(new Map([...kept].sort(byTime(all)))).toEqual(new Map([...expected].sort(byTime(all))))
  })
  await assertProperty('retention', property, { runs: 2_000 })
})

const byTime =
  (all: readonly Backup[]) =>
  ([a]: [Backup, string[]], [b]: [Backup, string[]]): number =>
    all.indexOf(a) - all.indexOf(b)

describe('the boundary is', () => {
  const boundaries: Record<string, [Retention, string[], string[]]> = {
    'the full hour': [
      { hourly: 2 },
      ['2026-03-01T10:00:00.000Z', '2026-03-01T10:59:59.999Z', '2026-03-01T11:00:00.000Z'],
      ['2026-03-01T10:59:59.999Z', '2026-03-01T11:00:00.000Z'],
    ],
    'midnight, UTC': [
      { daily: 2 },
      ['2026-03-28T00:00:00.000Z', '2026-03-28T23:59:59.999Z', '2026-03-29T00:00:00.000Z'],
      ['2026-03-28T23:59:59.999Z', '2026-03-29T00:00:00.000Z'],
    ],
    'the night to Monday, also within a week that two years share': [
      { weekly: 2 },
      ['2020-12-27T23:59:59.999Z', '2020-12-28T00:00:00.000Z', '2021-01-03T23:59:59.999Z'],
      ['2020-12-27T23:59:59.999Z', '2021-01-03T23:59:59.999Z'],
    ],
    'the same for a year of 53 weeks and one of 52': [
      { weekly: 3 },
      ['2026-12-28T00:00:00.000Z', '2027-01-03T00:00:00.000Z', '2027-01-04T00:00:00.000Z', '2026-12-27T00:00:00.000Z'],
      ['2026-12-27T00:00:00.000Z', '2027-01-03T00:00:00.000Z', '2027-01-04T00:00:00.000Z'],
    ],
    'before 1970 as after it': [
      { weekly: 2 },
      ['1969-12-28T23:59:59.999Z', '1969-12-29T00:00:00.000Z', '1970-01-04T23:59:59.999Z'],
      ['1969-12-28T23:59:59.999Z', '1970-01-04T23:59:59.999Z'],
    ],
  }
  test.each(Object.entries(boundaries))('%s', (_, [keep, times, expected]) => {
    expect(names(retained(times.map(at), keep))).toEqual(expected)
  })
})

test('periods without a backup do not count', () => {
  const times = ['2020-01-01T00:00:00.000Z', '2023-06-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z']
  expect(names(retained(times.map(at), { daily: 3 }))).toEqual(times)
})

test('of several of one moment, the last so many are so many, and a period has one', () => {
  const all = Array.from({ length: 5 }, () => at('2026-01-01T00:00:00Z'))
  expect(retained(all, { last: 3 }).size).toBe(3)
  expect(retained(all, { hourly: 3, daily: 3 }).size).toBe(1)
  expect(retained(all, {}).size).toBe(0)
  expect(retained([], { last: 3 }).size).toBe(0)
})
