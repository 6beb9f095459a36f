/** Runs the command in a process of its own, as an operator would. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string | undefined
  /** Beside PATH, all that there is. */
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

/** `meshstore …args`. One that takes too long is ended, and has no exit code. */
export const runCommand = (args: readonly string[], options: RunOptions = {}): Promise<Ran> =>
  runProgram(process.execPath, [MAIN, ...args], options)

/** Any program with the same surroundings. */
export function runProgram(
  program: string,
  args: readonly string[],
  { cwd, env, timeoutMs = 30_000 }: RunOptions = {},
): Promise<Ran> {
  const child = spawn(program, args, {
    cwd,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}
