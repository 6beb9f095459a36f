import type { ComputePaths } from '../api.ts'
import { StorageError } from '../errors.ts'
import type { PathBundle, PathKey } from '../schema/index.ts'

/**
 * Runs `compute`. After `timeoutMs` its signal aborts, and all callers get TIMEOUT, also if `compute` ignores the signal.
 * `undefined`: no limit.
 */
export async function withinTime<B extends PathBundle>(
  compute: ComputePaths<B>,
  key: PathKey,
  { signal, timeoutMs }: { signal: AbortSignal; timeoutMs: number | undefined },
): Promise<B> {
  if (timeoutMs === undefined) return compute(key, { signal })
  const controller = new AbortController()
  const abort = (): void => controller.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const error = new StorageError(
      'TIMEOUT',
      `The computation of the paths took longer than ${timeoutMs} ms. Nothing was stored. Try again, or raise the limit.`,
    )
    controller.abort(error)
    late.reject(error)
  }, timeoutMs)
  try {
    return await Promise.race([compute(key, { signal: controller.signal }), late.promise])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}
