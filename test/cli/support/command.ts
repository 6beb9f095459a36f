/** Runs the command in a process of its own, as an operator would. */
import { spawn } from 'node:child_process'
import { chmodSync, symlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'
import { afterAll } from 'vitest'
import { temporaryFolder } from '../../support/folders.ts'

const fromRoot = (name: string): string => fileURLToPath(new URL(`../../../${name}`, import.meta.url))

/** Bundled, as the package is: it starts in a sixth of the time. Made anew for each test file. */
async function bundled(): Promise<string> {
  const folder = temporaryFolder()
  afterAll(() => folder[Symbol.dispose]())
  // For those without root's rights, too.
  chmodSync(folder.path, 0o755)
  // What stays outside of the bundle, and the migrations, are found from where it lies.
  for (const name of ['node_modules', 'migrations']) symlinkSync(fromRoot(name), folder.file(name))
  const bundle = await rolldown({
    input: { cli: fromRoot('src/cli/main.ts') },
    platform: 'node',
    external: ['better-sqlite3', 'pg'],
    onLog: () => {},
  })
  await bundle.write({ dir: folder.path, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' })
  await bundle.close()
  return folder.file('cli.mjs')
}

export const MAIN = await bundled()

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

/** What the command says is one line on stderr, and begins with a code. */
export const ONE_LINE = /^[A-Z_]+: [^\n]+\n$/

/** The only JSON document on stdout. */
export function documentOf({ stdout }: Ran): { readonly [name: string]: unknown } {
  if (!stdout.endsWith('}\n')) throw new Error(`No document, or none alone: ${JSON.stringify(stdout.slice(-200))}`)
  return JSON.parse(stdout)
}
