/** The application as a process of its own, as `npm run mesh-api` starts it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const FROM_SOURCE = new URL('../../from-source.ts', import.meta.url).href
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

export const COMMAND: readonly string[] = ['--import', FROM_SOURCE, MAIN]

export interface Child extends AsyncDisposable {
  readonly base: string
  readonly output: () => string
  /** Sends the signal and waits until the process has ended: with what code, or by which signal. */
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/** Waits until it listens. */
export const start = (...args: string[]): Promise<Child> => startWith({}, ...args)

/** With variables besides those of this process. */
export async function startWith(environment: NodeJS.ProcessEnv, ...args: string[]): Promise<Child> {
  const child = spawn(process.execPath, [...COMMAND, '--port', '0', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  })
  let output = ''
  const ended = once(child, 'exit')
  const base = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer): void => {
      output += chunk
      const [, address] = /Listening on (\S+)/.exec(output) ?? []
      if (address !== undefined) resolve(address)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.once('exit', () => reject(new Error(`It ended before it listened: ${output}`)))
  })
  const end = async (signal: NodeJS.Signals) => {
    if (isRunning(child)) child.kill(signal)
    await ended
    return { code: child.exitCode, signal: child.signalCode }
  }
  return {
    base,
    output: () => output,
    end,
    [Symbol.asyncDispose]: async () => {
      await end('SIGKILL')
    },
  }
}

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null
