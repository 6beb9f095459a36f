/** Runs the command in a process of its own, as an operator would. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundledOnce } from '../../support/bundles.ts'

export const MAIN = join(
  await bundledOnce({ cli: fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url)) }),
  'cli.mjs',
)

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string | undefined
  /** Beside PATH, and where Node keeps what it has compiled, all that there is. */
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
  /** Without root's rights, where root runs the tests. */
  readonly unprivileged?: boolean
}

const NOBODY = 65_534
const nobody = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}

/** `meshstore …args`. One that takes too long is ended, and has no exit code. */
export const runCommand = (args: readonly string[], options: RunOptions = {}): Promise<Ran> =>
  runProgram(process.execPath, [MAIN, ...args], options)

/** Any program with the same surroundings. */
export function runProgram(
  program: string,
  args: readonly string[],
  { cwd, env, timeoutMs = 30_000, unprivileged = false }: RunOptions = {},
): Promise<Ran> {
  const child = spawn(program, args, {
    cwd,
    env: { PATH: process.env.PATH ?? '', NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    ...(unprivileged ? nobody : {}),
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

/** A refusal is one line on stderr, which begins with a code. */
export const ONE_LINE = /^[A-Z_]+: [^\n]+\n$/

/** The only JSON document on stdout. */
export function documentOf({ stdout }: Ran): { readonly [name: string]: unknown } {
  if (!stdout.endsWith('}\n')) throw new Error(`No document, or none alone: ${JSON.stringify(stdout.slice(-200))}`)
  return JSON.parse(stdout)
}
