/** The command line, drizzle-kit and openStorage() of a tree. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { type Outcome, root, run, type TreeCopy } from '../../schema/tree-copy.ts'
import { Program } from '../../sqlite/support/program.ts'
import { bundled, bundledOnce } from '../../support/bundles.ts'
import type { Opened } from '../programs/tree.ts'

/** This tree, or a copy. */
export type Tree = Pick<TreeCopy, 'root'>
export const HERE: Tree = { root }

const bundles = new Map<string, Promise<string>>()

/** The tree's code as it is when it is first asked for, bundled as the package is: it starts in a fifth of the time. */
function bundleOf({ root: tree }: Tree): Promise<string> {
  const made = bundles.get(tree) ?? bundleAt(tree)
  bundles.set(tree, made)
  return made
}

async function bundleAt(tree: string): Promise<string> {
  const source = (file: string): string => join(tree, 'src', file)
  const input = { index: source('index.ts'), program: source('cli/program.ts'), main: source('cli/main.ts') }
  if (tree === root) return bundledOnce(input)
  const folder = await bundled({ input })
  folders.push(folder)
  return folder
}

/** A process for each tree. Each answers one question after another. */
const programs = new Map<string, Program>()
const folders: string[] = []
let last: Promise<unknown> = Promise.resolve()
afterAll(async () => {
  for (const program of programs.values()) await program.kill()
  for (const folder of folders) rmSync(folder, { recursive: true })
})

async function ask<T>(tree: Tree, question: object): Promise<T> {
  const bundle = await bundleOf(tree)
  const program = programs.get(tree.root) ?? new Program(process.execPath, [PROGRAM, bundle])
  programs.set(tree.root, program)
  const answer = last.then(() => program.ask<T>(question))
  last = answer.catch(() => {})
  return answer
}

const PROGRAM = join(root, 'test/migrator/programs/tree.ts')

/** `meshstore migrate <args> --url <url>`. */
export const migrate = (tree: Tree, url: string, ...args: readonly string[]): Promise<Outcome> =>
  ask(tree, { cli: ['migrate', ...args, '--url', url] })

/** The same in a process of its own, as a pipeline calls it. */
export const migrateApart = async (tree: Tree, url: string, ...args: readonly string[]): Promise<Outcome> =>
  run(await bundleOf(tree), 'main.mjs', ['migrate', ...args, '--url', url])

/** The same, which must succeed. */
export async function migrated(tree: Tree, url: string, ...args: readonly string[]): Promise<Outcome> {
  const outcome = await migrate(tree, url, ...args)
  if (outcome.code !== 0) throw new Error(`meshstore migrate ${args.join(' ')} failed: ${JSON.stringify(outcome)}`)
  return outcome
}

export interface StatusJson {
  readonly state: string
  readonly applied: readonly string[]
  readonly pending: readonly string[]
  readonly newer: readonly string[]
  readonly foreign: readonly string[]
  readonly problem?: { readonly code: string; readonly message: string }
  readonly drift?: readonly { readonly table: string; readonly kind: string; readonly what: string }[]
  readonly others: readonly string[]
}

export async function statusOf(tree: Tree, url: string): Promise<StatusJson & { code: number | null }> {
  const { code, stdout, stderr } = await migrate(tree, url, 'status', '--json')
  if (stderr !== '') throw new Error(stderr)
  return { ...JSON.parse(stdout), code }
}

/** The outcome of `openStorage({ url, migrate })` with the tree's code, for each of the modes, one after another. */
export const opened = (tree: Tree, url: string, ...modes: readonly string[]): Promise<Opened[]> =>
  ask(tree, { url, modes })

/** `drizzle-kit migrate` in the tree's folder. */
export async function drizzleKitMigrate(tree: Tree, url: string): Promise<void> {
  const bin = 'node_modules/drizzle-kit/bin.cjs'
  const { code, stdout, stderr } = await run(tree.root, bin, ['migrate'], { DATABASE_URL: url })
  if (code !== 0 || !stdout.includes('applied successfully')) throw new Error(`${stdout}\n${stderr}`)
}
