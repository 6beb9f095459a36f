/** Measuring in a process of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

export const childPath = (name: string): string => pathOf(`./children/${name}`)

const built = pathOf('../dist/index.js')
const source = pathOf('../src/')

/** What users install: the bundle, if it is there. */
export const libraryEntry = (): string => (existsSync(built) ? built : join(source, 'index.ts'))

/** What to know about `libraryEntry()` before its figures are believed. */
export function entryNotes(): string[] {
  if (!existsSync(built)) return ['dist/ is not built: measured from src/, which loads slower. Run: npm run build']
  const newest = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .reduce((latest, file) => Math.max(latest, statSync(join(source, file)).mtimeMs), 0)
  return newest > statSync(built).mtimeMs ? ['dist/ is older than src/. Run: npm run build'] : []
}

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
