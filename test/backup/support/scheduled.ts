import { tracingChannel } from 'node:diagnostics_channel'
import type { BackupSchedule, Meshstore, StorageOptions } from '../../../src/index.ts'
import { openStorage } from '../../../src/index.ts'

export interface BackupEvent {
  readonly trigger: string
  readonly bytes?: number
  readonly error?: unknown
}

/** Waits for what must come, and says so if it does not: nothing is decided by how long it takes. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
): Promise<T> {
  const deadline = performance.now() + 30_000
  for (;;) {
    const found = await look()
    if (found !== undefined && found !== false) return found
    if (performance.now() > deadline) throw new Error(`It did not come: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Records the events of the channel of backups: backups made, and errors. */
export function recordBackups(): { readonly made: BackupEvent[]; readonly failed: BackupEvent[] } & Disposable {
  const [made, failed]: BackupEvent[][] = [[], []]
  const { asyncEnd, error } = tracingChannel('meshstore:backup')
  const onEnd = (event: unknown): void => {
    const ended = event as BackupEvent
    if (ended.error === undefined) made?.push({ ...ended })
  }
  const onError = (event: unknown): void => void failed?.push({ ...(event as BackupEvent) })
  asyncEnd.subscribe(onEnd)
  error.subscribe(onError)
  return {
    made: made ?? [],
    failed: failed ?? [],
    [Symbol.dispose]: () => {
      asyncEnd.unsubscribe(onEnd)
      error.unsubscribe(onError)
    },
  }
}

export const scheduled = (
  url: string,
  backups: BackupSchedule,
  options: Omit<StorageOptions, 'url'> = {},
): Promise<Meshstore> => openStorage({ ...options, url, backups })
