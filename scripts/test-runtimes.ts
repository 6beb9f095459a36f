/** `npm run test:runtimes`: the conformance suites on other runtimes than the repository's own, each as npm ships it. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asked, testAll } from './arguments.ts'

interface Runtime {
  readonly package: string
  /** Below the folder that npm installed it into. */
  readonly program: string
  /** Before the path of vitest, and behind its arguments. */
  readonly args?: readonly string[]
  readonly vitest?: readonly string[]
}

const RUNTIMES: Readonly<Record<string, Runtime>> = {
  node22: { package: 'node@22', program: 'node_modules/node/bin/node' },
  node24: { package: 'node@24', program: 'node_modules/node/bin/node' },
  node26: { package: 'node@26', program: 'node_modules/node/bin/node' },
  // Bun cannot run vitest's workers as processes.
  bun: { package: 'bun@1', program: 'node_modules/bun/bin/bun.exe', args: ['--bun'], vitest: ['--pool=threads'] },
  deno: {
    package: 'deno@2',
    program: 'node_modules/.bin/deno',
    args: ['run', '--allow-all', '--node-modules-dir=manual'],
  },
}
const SUITES = ['test/conformance/']
/** They call nearly everything, and take some seconds. */
const SHORT = ['test/conformance/tracing.test.ts', 'test/conformance/transactions.test.ts']

const HELP = `npm run test:runtimes [-- OPTIONS] [RUNTIME…]

  --short     two suites that call nearly everything, on SQLite alone
  --help

RUNTIME is one of ${Object.keys(RUNTIMES).join(', ')}; without any, all of them. It needs the npm registry.`

const vitest = join(import.meta.dirname, '../node_modules/vitest/vitest.mjs')

function testOn(
  name: string,
  { package: from, program, args = [], vitest: more = [] }: Runtime,
  short: boolean,
): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'meshstore-runtime-'))
  try {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ allowScripts: { node: true, bun: true, deno: true } }))
    spawnSync('npm', ['install', '--no-audit', '--no-fund', from], { cwd: folder, stdio: 'ignore' })
    const runtime = join(folder, program)
    const version = existsSync(runtime) ? spawnSync(runtime, ['--version'], { encoding: 'utf8' }) : undefined
    if (version?.status !== 0) {
      console.error(`\n*** NOT TESTED: ${name}. npm did not install ${from}. ***\n`)
      return false
    }
    console.log(`\n== ${name}: ${version.stdout.split('\n')[0]}`)
    const env = { ...process.env, ...(short ? { DIALECTS: 'sqlite' } : {}) }
    const suites = short ? SHORT : SUITES
    const run = [...args, vitest, 'run', '--project', 'suites', ...more, ...suites]
    return spawnSync(runtime, run, { stdio: 'inherit', env, cwd: join(import.meta.dirname, '..') }).status === 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const { form, targets } = asked(Object.keys(RUNTIMES), HELP, ['short'])
testAll(targets, (name) => testOn(name, RUNTIMES[name] as Runtime, form === 'short'))
