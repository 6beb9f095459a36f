/**
 * Runs with the bundled code of a tree what it is asked to, again and again: `{ cli: […] }`, or `{ url, modes }`, which opens the
 * database once for each mode of `migrate` and uses it. A process of its own for each command would take most of the time.
 */
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

export type Opened =
  | { readonly code: string; readonly message: string; readonly name: string }
  /** The ids of the nodes, after one was written whose id is the mode. */
  | { readonly nodes: readonly string[] }

type Mode = 'apply' | 'check' | 'skip'
type Question = { readonly cli: readonly string[] } | { readonly url: string; readonly modes: readonly Mode[] }

const importOf = (file: string) => import(pathToFileURL(join(process.argv[2] ?? '', file)).href)
const library: typeof import('../../../src/index.ts') = await importOf('index.mjs')
const program: typeof import('../../../src/cli/program.ts') = await importOf('program.mjs')

async function open(url: string, migrate: Mode): Promise<Opened> {
  try {
    await using store = await library.openStorage({ url, migrate })
    await store.nodes.save({ nodeId: migrate, interfaces: [], protocols: [] })
    return { nodes: (await store.nodes.list()).map(({ nodeId }) => nodeId) }
  } catch (error) {
    const { code = 'none', message, name } = error as Error & { code?: string }
    return { code, message, name }
  }
}

async function cli(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: '', stderr: '' }
  const writers = { stdout: process.stdout.write, stderr: process.stderr.write }
  for (const stream of ['stdout', 'stderr'] as const) {
    process[stream].write = (text: string | Uint8Array) => {
      said[stream] += text
      return true
    }
  }
  try {
    process.exitCode = 0
    await program.run(['node', 'meshstore', ...args])
    return { code: Number(process.exitCode), ...said }
  } finally {
    process.stdout.write = writers.stdout
    process.stderr.write = writers.stderr
    process.exitCode = 0
  }
}

async function answer(question: Question): Promise<unknown> {
  if ('cli' in question) return cli(question.cli)
  const outcomes: Opened[] = []
  for (const mode of question.modes) outcomes.push(await open(question.url, mode))
  return outcomes
}

for await (const line of createInterface({ input: process.stdin }))
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`)
