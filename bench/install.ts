/**
 * Before the benchmark: installs the library's peers, once for each state of the lock file. No package's own install
 * script is run. A peer that is missing then is not measured, and its rows say so: the rest goes on.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'

const folder = import.meta.dirname
const stamp = join(folder, 'node_modules', '.installed-lock')

const expected = createHash('sha256')
  .update(readFileSync(join(folder, 'package-lock.json')))
  .digest('hex')
if (installed() !== expected) install()

function installed(): string {
  try {
    return readFileSync(stamp, 'utf8')
  } catch {
    return ''
  }
}

function install(): void {
  console.error("Installing the benchmark's peers (once) …")
  const steps: readonly (() => number | null)[] = [
    () => run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']),
    () =>
      run(process.execPath, [
        join('node_modules', 'prisma', 'build', 'index.js'),
        'generate',
        '--config',
        join('peers', 'prisma.config.ts'),
      ]),
  ]
  const done = steps.every((step) => step() === 0)
  if (done) writeFileSync(stamp, expected)
  else console.error('NOT INSTALLED: some of the peers will not be measured.')
}

function run(command: string, args: readonly string[]): number | null {
  const env = {
    ...process.env,
    // The Node that runs this, whatever the machine's own is.
    PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}`,
    CHECKPOINT_DISABLE: '1',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    // Prisma would download a program that only its migrations need. Any file will do: it is never run here.
    PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
  }
  // npm is a script on Windows, which only a shell runs.
  const shell = command === 'npm' && process.platform === 'win32'
  return spawnSync(command, args, { cwd: folder, env, shell, stdio: ['ignore', 2, 2] }).status
}
