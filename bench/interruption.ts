/** An interrupted benchmark leaves no server and no file behind. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

type CleanUp = () => unknown

/** The last to be registered is the first to be run. */
const cleanUps: CleanUp[] = []

async function onSignal(signal: NodeJS.Signals): Promise<void> {
  for (const each of SIGNALS) process.off(each, onSignal)
  for (let next = cleanUps.pop(); next !== undefined; next = cleanUps.pop()) {
    try {
      await next()
    } catch {
      // A failed clean-up does not stop the others.
    }
  }
  process.kill(process.pid, signal)
}

/** Runs it when the benchmark is interrupted, unless it is taken back before. */
export function whenInterrupted(cleanUp: CleanUp): () => void {
  if (cleanUps.length === 0) for (const signal of SIGNALS) process.on(signal, onSignal)
  cleanUps.push(cleanUp)
  return () => {
    const at = cleanUps.indexOf(cleanUp)
    if (at >= 0) cleanUps.splice(at, 1)
    if (cleanUps.length === 0) for (const signal of SIGNALS) process.off(signal, onSignal)
  }
}
