/** Retention: which backups are kept, and why. Times are in UTC. */
import type { Retention } from '../api.ts'
import * as rules from '../schema/rules.ts'

const AMOUNT = rules.isInteger(0, rules.MAX_INTEGER)
export const RETENTION_RULES: rules.Rules = { last: AMOUNT, hourly: AMOUNT, daily: AMOUNT, weekly: AMOUNT }

interface Dated {
  readonly createdAt: Date
}

/** Returns the period of a time. The newest backup of a period is kept. */
const PERIODS: Readonly<Record<'hourly' | 'daily' | 'weekly', (time: Date) => string>> = {
  hourly: (time) => time.toISOString().slice(0, 13),
  daily: (time) => time.toISOString().slice(0, 10),
  // Weeks begin on Monday, as in ISO 8601; 1970-01-01 was a Thursday.
  weekly: (time) => String(Math.floor((time.getTime() / DAY_MS + 3) / 7)),
}
const DAY_MS = 86_400_000

/**
 * Returns the kept backups with their reasons: the last `last` backups, and the newest backup of each of the last `hourly` hours,
 * `daily` days and `weekly` weeks that have a backup. A backup may have several reasons.
 */
export function retained<B extends Dated>(backups: readonly B[], keep: Retention): Map<B, string[]> {
  const newestFirst = backups.toSorted((a, b) => b.createdAt.getTime() - a.createdAt.getTime())
  const reasons = new Map<B, string[]>()
  const keepFor = (backup: B, reason: string): void => {
    reasons.set(backup, [...(reasons.get(backup) ?? []), reason])
  }
  for (const backup of newestFirst.slice(0, keep.last ?? 0)) keepFor(backup, 'last')
  for (const [name, periodOf] of Object.entries(PERIODS) as [keyof typeof PERIODS, (time: Date) => string][]) {
    const periods = new Set<string>()
    for (const backup of newestFirst) {
      if (periods.size >= (keep[name] ?? 0)) break
      const period = periodOf(backup.createdAt)
      if (periods.has(period)) continue
      periods.add(period)
      keepFor(backup, name)
    }
  }
  return reasons
}
