import type { ComputePaths } from '../api.ts'
import { StorageError } from '../errors.ts'
import type { PathBundle, PathKey } from '../schema/index.ts'

/**
 * Runs `compute`. Past the time it is aborted, and TIMEOUT for all who wait, whatever it still does: one that ignores its
 * signal must not hold up anybody. `undefined`: no limit.
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
    const error = new StorageError('TIMEOUT', `The computation of the paths took longer than ${timeoutMs} ms.`)
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
