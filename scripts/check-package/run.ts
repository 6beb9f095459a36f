import { execFile } from 'node:child_process'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'

let passed = 0
let failed = 0

/** Runs one check and prints how it went; the others go on. */
export async function check(name: string, run: () => Promise<unknown>): Promise<void> {
  try {
    await run()
    passed++
    console.log(`ok      ${name}`)
  } catch (error) {
    failed++
    console.log(`FAILED  ${name}\n${error instanceof Error ? error.message : String(error)}`)
  }
}

/** Prints the last line, and sets the exit code. */
export function printSummary(): void {
  console.log(`${passed} passed, ${failed} failed`)
  if (failed > 0 || passed === 0) process.exitCode = 1
}

export interface Result {
  /** `null` if a signal ended it: a crash. */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Place {
  readonly cwd: string
  readonly env?: Readonly<Record<string, string>>
}

/** Runs a program to its end, whatever that is. */
export async function command(file: string, args: readonly string[], { cwd, env }: Place): Promise<Result> {
  try {
    const { stdout, stderr } = await promisify(execFile)(file, args, { cwd, env: { ...process.env, ...env } })
    return { code: 0, stdout, stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string }
    if (stdout === undefined || stderr === undefined || typeof code === 'string') throw error
    return { code: typeof code === 'number' ? code : null, stdout, stderr }
  }
}

const NOTHING_BUT_NODE = dirname(process.execPath)

/** Runs npm and returns what it printed. `bare`: with no other program on the PATH than Node. */
export async function npm(cwd: string, args: readonly string[], options: { bare?: boolean } = {}): Promise<string> {
  const cli = process.env.npm_execpath
  if (cli === undefined) throw new Error('Start this with `npm run test:package`: it needs to know which npm to use.')
  // Installing a package `node` calls npm, which calls node: the right one.
  const path = options.bare === true ? [NOTHING_BUT_NODE] : [NOTHING_BUT_NODE, process.env.PATH ?? '']
  const env = { PATH: path.join(delimiter) }
  const { code, stdout, stderr } = await command(process.execPath, [cli, ...args], { cwd, env })
  if (code !== 0) throw new Error(`npm ${args.join(' ')} ended with ${code}.\n${stdout}${stderr}`)
  return stdout
}

/** The command of the installed package. */
export const COMMAND = join('node_modules', 'meshstore', 'dist', 'cli.js')
