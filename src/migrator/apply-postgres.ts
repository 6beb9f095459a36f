/** Applies migrations on PostgreSQL, the library's and an application's: each in its own transaction, one process at a time. */
import type pg from 'pg'
import { translated } from '../database/postgres/errors.ts'
import { performance } from '../event-loop.ts'
import { buildIndexes } from './concurrent-indexes.ts'
import type { Migration } from './migrations.ts'
import { locked } from './postgres-lock.ts'
import type { MigrationOptions } from './steps.ts'

export interface Applying {
  readonly isPending: () => Promise<boolean>
  /** Reads the ledger again: it is called with the lock. */
  readonly nextIn: (client: pg.PoolClient) => Promise<Migration | undefined>
  /** Tables whose indexes are not built beforehand. */
  readonly untouched?: readonly string[]
  /** Runs in the migration's transaction before `nextIn`. */
  readonly prepare?: (client: pg.PoolClient) => Promise<void>
  readonly apply: (client: pg.PoolClient, next: Migration) => Promise<void>
  readonly failed: (next: Migration, error: unknown) => unknown
}

/** Throws what `locked()` throws, and `failed()` returns. */
export async function applyPending(
  pool: pg.Pool,
  { isPending, nextIn, untouched, prepare, apply, failed }: Applying,
  { onApplied }: Pick<MigrationOptions, 'onApplied'>,
): Promise<void> {
  while (await isPending()) {
    let begun: number | undefined
    const applied = await locked(pool, {
      before: async (client) => {
        begun = performance.now()
        const next = await nextIn(client)
        if (next === undefined) return
        await buildIndexes(client, next, untouched).catch((error) => Promise.reject(failed(next, translated(error))))
      },
      work: async (client) => {
        await prepare?.(client)
        const next = await nextIn(client)
        begun ??= performance.now()
        if (next !== undefined) await apply(client, next)
        return next && { tag: next.tag, milliseconds: performance.now() - begun }
      },
    })
    if (applied !== undefined) onApplied?.(applied)
  }
}
