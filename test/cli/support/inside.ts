import { run } from '../../../src/cli/program.ts'
import type { Ran } from './command.ts'

let before: Promise<unknown> = Promise.resolve()

/** Runs the command in this process, one after another: for what it says, where the process itself is not what is tested. */
export function runInside(args: readonly string[]): Promise<Ran> {
  const ran = before.then(() => listening(args))
  before = ran.catch(() => {})
  return ran
}

async function listening(args: readonly string[]): Promise<Ran> {
  const said = { stdout: '', stderr: '' }
  const writers = { stdout: process.stdout.write, stderr: process.stderr.write }
  const exitCode = process.exitCode
  for (const stream of ['stdout', 'stderr'] as const) {
    process[stream].write = (text: string | Uint8Array) => {
      said[stream] += text
      return true
    }
  }
  try {
    process.exitCode = 0
    await run(['node', 'meshstore', ...args])
    return { code: Number(process.exitCode), ...said }
  } finally {
    Object.assign(process.stdout, { write: writers.stdout })
    Object.assign(process.stderr, { write: writers.stderr })
    process.exitCode = exitCode
  }
}
