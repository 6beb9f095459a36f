import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Dialect, type Shipped, shipped } from '../../src/migrator/shipped.ts'
import { QUICK } from '../support/quick.ts'

export const root = join(import.meta.dirname, '../..')
export const dialects = ['sqlite', 'postgresql'] as const
export type { Dialect, Shipped }
export const urls = { sqlite: 'sqlite:./mesh.db', postgresql: 'postgres://localhost/mesh' }

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs one of the tree's own scripts or tools under the Node that runs the tests. */
export function run(cwd: string, script: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
  const child = spawn(process.execPath, [join(cwd, script), ...args], {
    cwd,
    env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: undefined, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const outcome: Outcome = { code: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text) => (outcome.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (outcome.stderr += text))
  child.on('error', reject)
  child.on('close', (code) => resolve({ ...outcome, code }))
  return promise
}

const FILES = ['src', 'scripts', 'migrations', 'drizzle', 'drizzle.config.ts', 'package.json', 'tsconfig.json']

/** A copy of what the schema's tools read, to break it and to let them write. The command line can be run in it too. */
export class TreeCopy {
  readonly root = mkdtempSync(join(QUICK, 'meshstore-tree-'))

  /** Copies this tree, or another copy. */
  constructor(from = root) {
    for (const file of [...FILES, 'test/schema/row-types.ts'])
      cpSync(join(from, file), join(this.root, file), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(this.root, 'node_modules'), 'dir')
  }

  read(file: string): string {
    return readFileSync(join(this.root, file), 'utf8')
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.root, file), text)
  }

  edit(file: string, from: string, to: string): void {
    const text = this.read(file)
    if (!text.includes(from)) throw new Error(`${file} does not hold ${from}`)
    this.write(file, text.replace(from, to))
  }

  /** Everything that db:generate may write, by path. */
  generated(): Record<string, string> {
    const files = ['migrations', 'drizzle'].flatMap((folder) =>
      readdirSync(join(this.root, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name)),
    )
    const paths = files.map((file) => file.slice(this.root.length + 1))
    return Object.fromEntries(paths.sort().map((path) => [path, this.read(path)]))
  }

  drizzleKit(dialect: Dialect, ...args: string[]): Promise<Outcome> {
    return run(this.root, 'node_modules/drizzle-kit/bin.cjs', args, { DATABASE_URL: urls[dialect] })
  }

  dbGenerate(...args: string[]): Promise<Outcome> {
    return run(this.root, 'scripts/db-generate.ts', args)
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

/** The migrations of a tree, in the order of its journals. */
export function migrationsOf(copy: TreeCopy): Record<Dialect, readonly Shipped[]> {
  const of = (dialect: Dialect): readonly Shipped[] => shipped(dialect, join(copy.root, 'migrations'))
  return { sqlite: of('sqlite'), postgresql: of('postgresql') }
}

/**
 * The files that differ from the schema: migrations or drizzle/*.sql, for each dialect. drizzle-kit writes into the
 * copy.
 */
export async function differences(copy: TreeCopy): Promise<string[]> {
  const found = await Promise.all(
    dialects.map(async (dialect) => {
      const schema = await copy.drizzleKit(dialect, 'export', '--sql')
      const migrations = await copy.drizzleKit(dialect, 'generate')
      return [
        !migrations.stdout.includes('No schema changes') && `migrations/${dialect}`,
        // Triggers and functions follow, of which drizzle-kit knows nothing.
        !copy.read(`drizzle/${dialect}.sql`).startsWith(schema.stdout.trimEnd()) && `drizzle/${dialect}.sql`,
      ]
    }),
  )
  return found.flat().filter((name) => name !== false)
}
