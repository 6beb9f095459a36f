/** Replication, loaded on demand: a store without it loads nothing of it. */
import type { Database } from '../database/session.ts'
import { StorageError } from '../errors.ts'
import type { Config } from '../open/config.ts'
import type { Shipper } from './shipper.ts'

const KEEP = { daily: 7 }

/** `undefined`: the store is not replicated. */
export function replicated(
  database: Database,
  { replicate, now, readOnly, target }: Config,
): Promise<Shipper> | undefined {
  if (replicate === undefined) return undefined
  const isLost = target.dialect === 'sqlite' && target.path === ':memory:'
  const shipper = isLost || readOnly ? refused() : shipperOf(database, replicate, now)
  // Mark the rejection as handled: `prepared()` throws it.
  shipper.catch(() => {})
  return shipper
}

async function refused(): Promise<never> {
  throw new StorageError(
    'CONFIG',
    'A store in memory, and a read-only store, cannot be replicated. Leave replicate out.',
  )
}

async function shipperOf(
  database: Database,
  { to, everySeconds, keep = KEEP, onFenced }: NonNullable<Config['replicate']>,
  now: Config['now'],
): Promise<Shipper> {
  const [{ placeOf }, { Shipper }, { sourceOf }] = await Promise.all([
    import('./open-place.ts'),
    import('./shipper.ts'),
    import('./source-of.ts'),
  ])
  const place = placeOf(to)
  const seconds = everySeconds ?? (to.startsWith('s3:') ? 10 : 1)
  const source = () => sourceOf(database)
  return new Shipper({ source, place, now, everyMs: seconds * 1_000, keep, onFenced })
}
