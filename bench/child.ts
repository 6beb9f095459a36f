/** Measuring in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

export const childPath = (name: string): string => fileURLToPath(new URL(`./children/${name}`, import.meta.url))

export interface Finished {
  readonly stdout: string
  /** From the moment before it was started to the first thing that it said, in milliseconds. */
  readonly firstOutputMs: number
}

/** Runs a program to its end. Rejects with what it said if it fails. */
export async function run(command: string, args: readonly string[]): Promise<Finished> {
  const begun = performance.now()
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let firstOutputMs = Number.NaN
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (stdout === '') firstOutputMs = performance.now() - begun
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${stderr}`)
  return { stdout, firstOutputMs }
}

export const runNode = (args: readonly string[]): Promise<Finished> => run(process.execPath, args)
