/** Python's sqlite3 as a contestant: a process that is asked by lines of JSON, and measures itself. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Contestant, Taken } from './peer.ts'
import type { Durability } from './raw-store.ts'
import { medianOf } from './statistics.ts'

const COMMAND = process.platform === 'win32' ? 'python' : 'python3'
export const PYTHON: readonly [command: string, script: string] = [
  COMMAND,
  fileURLToPath(new URL('./peers/sqlite/python.py', import.meta.url)),
]

/** Rejects where there is no Python. */
export async function python(name: string, file: string, durability: Durability): Promise<Contestant> {
  const [command, script] = PYTHON
  const child = spawn(command, [script, file, durability], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const failure = once(child, 'error').then(([error]) => {
    throw new Error(`${command} does not start (${error.code}).`)
  })
  failure.catch(() => {})
  // A process that has ended is noticed where its answer does not come.
  child.stdin.on('error', () => {})
  const next = async (): Promise<Record<string, unknown>> => {
    const { value, done } = await Promise.race([lines.next(), failure])
    if (done === true) throw new Error(`${command} ended.`)
    return JSON.parse(value)
  }
  const said = await next()
  const ask = (request: unknown): Promise<Record<string, unknown>> => {
    child.stdin.write(`${JSON.stringify(request)}\n`)
    return next()
  }
  return {
    name,
    version: `Python ${said.python}, SQLite ${said.sqlite}`,
    // It has nothing to be in flight with: one after the other.
    time: async (method, calls) => takenOf((await ask({ method, calls, answer: false })).times),
    answer: async (method, args) => (await ask({ method, calls: [args], answer: true })).last,
    close: async () => {
      const gone = once(child, 'exit')
      child.stdin.end()
      await gone
    },
  }
}

/** From the moments between the calls. */
function takenOf(moments: unknown): Taken {
  if (!Array.isArray(moments)) throw new Error('Python said no times.')
  const times = moments.slice(1).map((moment, n) => moment - moments[n])
  return { mean: (moments.at(-1) - moments[0]) / times.length, median: medianOf(times) }
}
