/** Snapshots as texts: `xmin:xmax:ids in progress` (https://www.postgresql.org/docs/current/functions-info.html). */
import type { Ask } from './single.ts'

export async function snapshot(ask: Ask): Promise<string> {
  const [row] = await ask<[string]>('SELECT pg_current_snapshot()::text')
  return row?.[0] ?? ''
}

/** All transactions below it had ended. */
export const xmin = (of: string): string => of.split(':')[0] ?? ''

interface Span {
  readonly seen: string
  readonly now: string
}

/**
 * As much of `now` as shows the transaction `newest`, and what `seen` showed. Above it are transactions that were rolled back, of
 * which a server that crashes may not know any more: then it gives their ids to others, who must not be taken for seen.
 */
export function reaching(newest: number, { seen, now }: Span): string {
  const [, seenTo = ''] = seen.split(':')
  const [, , running = ''] = now.split(':')
  const end = Math.max(newest + 1, Number(seenTo))
  const open = running.split(',').filter((id) => id !== '' && Number(id) < end)
  return `${open[0] ?? end}:${end}:${open.join()}`
}
