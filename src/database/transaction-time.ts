import { StorageError } from '../errors.ts'
import type { OpenTransaction } from './transaction.ts'

/**
 * Runs `work`, and ends the transaction at the time limit, also if `work` goes on. `undefined`: no limit. `of`: the whole limit in
 * milliseconds, if a part of it has already passed.
 */
export async function withinTime<T>(
  tx: OpenTransaction,
  work: (tx: OpenTransaction) => Promise<T>,
  timeoutMs: number | undefined,
  of = timeoutMs,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  try {
    if (timeoutMs === undefined) return await tx.completing(work)
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const error = timeoutError(of)
        tx.end(error)
        reject(error)
      }, timeoutMs)
    })
    return await Promise.race([tx.completing(work), late])
  } finally {
    clearTimeout(timer)
    tx.end()
  }
}

export const timeoutError = (timeoutMs = 0): StorageError =>
  new StorageError(
    'TIMEOUT',
    `The transaction took longer than ${timeoutMs} ms and was rolled back. Shorten it, or raise timeoutMs.`,
  )
