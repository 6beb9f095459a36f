/** Snapshots as texts: `xmin:xmax:ids in progress` (https://www.postgresql.org/docs/current/functions-info.html). */
import type { Ask } from './single.ts'

export async function snapshot(ask: Ask): Promise<string> {
  const [row] = await ask<[string]>('SELECT pg_current_snapshot()::text')
  return row?.[0] ?? ''
}

/** All transactions with lower ids had ended at the snapshot. */
export const xmin = (of: string): string => of.split(':')[0] ?? ''

interface Span {
  readonly seen: string
  readonly now: string
}

/**
 * Cuts `now` above the transaction `newest`, but not below `seen`. Higher ids belong to rolled-back transactions. After a crash the
 * server may give these ids to other transactions, which must not count as seen.
 */
export function reaching(newest: number, { seen, now }: Span): string {
  const [, seenTo = ''] = seen.split(':')
  const [, , running = ''] = now.split(':')
  const end = Math.max(newest + 1, Number(seenTo))
  const open = running.split(',').filter((id) => id !== '' && Number(id) < end)
  return `${open[0] ?? end}:${end}:${open.join()}`
}
