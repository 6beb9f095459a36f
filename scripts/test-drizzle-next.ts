/**
 * `npm run test:drizzle-next [-- VERSION]`: types and the conformance suites with the newest pre-release of drizzle-orm 1.0, in a copy of
 * the tree. docs/reference/compatibility.md says what breaks.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const FOLDERS = ['src', 'test', 'migrations', 'drizzle', 'docs', 'examples', 'scripts', 'bench']
const FILES = ['package.json', 'tsconfig.json', 'vitest.config.ts', 'README.md', 'CHANGELOG.md']

/** The last of npm's list that is a pre-release of 1.0. */
function newest(): string {
  const versions: string[] = JSON.parse(
    execFileSync('npm', ['view', 'drizzle-orm', 'versions', '--json'], { encoding: 'utf8' }),
  )
  const found = versions.findLast((version) => version.startsWith('1.0.0-'))
  if (found === undefined) throw new Error('npm has no pre-release of drizzle-orm 1.0. Name a version.')
  return found
}

const version = process.argv[2] ?? newest()
const copy = mkdtempSync(join(tmpdir(), 'meshstore-drizzle-'))
try {
  for (const name of FOLDERS)
    cpSync(join(root, name), join(copy, name), { recursive: true, filter: (file) => !file.includes('node_modules') })
  for (const name of FILES) cpSync(join(root, name), join(copy, name))
  const next = join(copy, 'next')
  mkdirSync(next)
  writeFileSync(join(next, 'package.json'), '{}')
  const npm = ['install', '--no-audit', '--no-fund', '--legacy-peer-deps', `drizzle-orm@${version}`]
  execFileSync('npm', npm, { cwd: next, stdio: 'ignore' })
  mkdirSync(join(copy, 'node_modules'))
  for (const name of readdirSync(join(root, 'node_modules'))) {
    const from = name === 'drizzle-orm' ? join(next, 'node_modules') : join(root, 'node_modules')
    if (name !== 'meshstore') symlinkSync(join(from, name), join(copy, 'node_modules', name))
  }
  console.log(`drizzle-orm ${version}`)
  const run = (program: string, ...args: string[]): boolean =>
    spawnSync(process.execPath, [join(root, 'node_modules', program), ...args], { cwd: copy, stdio: 'inherit' })
      .status === 0
  const results = [
    run('typescript/bin/tsc', '--noEmit', '-p', '.'),
    run('vitest/vitest.mjs', 'run', '--project', 'suites', 'test/conformance/'),
  ]
  process.exitCode = results.every(Boolean) ? 0 : 1
} finally {
  rmSync(copy, { recursive: true, force: true })
}
