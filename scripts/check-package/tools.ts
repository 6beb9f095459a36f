/** The installed package in the tools that applications use: each runs a program that stores a node, and reads it. */
import { equal, match } from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { writeJson } from '../build/files.ts'
import { check, command, npm } from './run.ts'

interface Tool {
  readonly name: string
  /** It takes minutes: `--all` includes it. */
  readonly slow?: true
  readonly packages: readonly string[]
  readonly files: Readonly<Record<string, string>>
  /** Each is a file of node_modules, run by Node, or one of this folder. The last one prints what `OUTPUT` matches. */
  readonly commands: readonly (readonly string[])[]
}

const USE = `
export async function useNode() {
  const store = await openStorage('sqlite:./mesh.db')
  await store.nodes.save({ nodeId: 'gw-1', interfaces: ['eth0'], protocols: ['batman-adv'] })
  await store.policies.save({ policyId: 'default', yamlContent: 'rules: [a]' })
  const node = await store.nodes.get('gw-1')
  await store.close()
  return 'stored and read ' + node?.nodeId + ' ' + node?.protocols
}
`
const OUTPUT = /stored and read gw-1 batman-adv/
const MODULE = `import { openStorage } from 'meshstore'${USE}`
const PROGRAM = `${MODULE}console.log(await useNode())\n`
const REQUIRED = `const { openStorage } = require('meshstore')${USE.replace('export ', '')}`
const TEST = "test('a node', async () => { process.stdout.write(await useNode()) })\n"

const EXTERNAL = ['better-sqlite3', 'pg']

const esbuild = (format: string, outfile: string): Tool => ({
  name: `esbuild, ${format}`,
  packages: ['esbuild@0.28'],
  files: {
    'use.mjs': `${MODULE}useNode().then(console.log)\n`,
    'bundle.mjs': `import { build } from 'esbuild'
await build({ entryPoints: ['use.mjs'], bundle: true, platform: 'node', format: '${format}', outfile: '${outfile}',
  external: ${JSON.stringify(EXTERNAL)}, logLevel: 'error' })\n`,
  },
  commands: [['bundle.mjs'], [outfile]],
})

const TOOLS: readonly Tool[] = [
  {
    name: 'Jest, CommonJS',
    packages: ['jest@30'],
    files: { 'use.test.js': `${REQUIRED}${TEST}` },
    commands: [['node_modules/jest/bin/jest.js']],
  },
  {
    name: 'ts-jest, CommonJS, moduleResolution node10',
    slow: true,
    packages: ['jest@30', 'ts-jest@29', 'typescript@5.9', '@types/jest@30', '@types/node@24'],
    files: {
      'use.test.ts': `${MODULE}${TEST}`,
      'jest.config.js': "module.exports = { preset: 'ts-jest' }\n",
      'tsconfig.json': '{ "compilerOptions": { "module": "commonjs", "moduleResolution": "node10", "strict": true } }',
    },
    commands: [['node_modules/jest/bin/jest.js']],
  },
  {
    name: 'vitest',
    slow: true,
    packages: ['vitest@4'],
    files: { 'use.test.ts': `import { test } from 'vitest'\n${MODULE}${TEST}` },
    commands: [['node_modules/vitest/vitest.mjs', 'run']],
  },
  esbuild('esm', 'out.mjs'),
  esbuild('cjs', 'out.cjs'),
  {
    name: 'rolldown',
    packages: ['rolldown@1'],
    files: {
      'use.mjs': PROGRAM,
      'bundle.mjs': `import { build } from 'rolldown'
await build({ input: 'use.mjs', platform: 'node', external: ${JSON.stringify(EXTERNAL)}, logLevel: 'silent',
  output: { dir: 'out', format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' } })\n`,
    },
    commands: [['bundle.mjs'], ['out/use.mjs']],
  },
  {
    name: 'Next.js',
    slow: true,
    packages: ['next@16', 'react@19', 'react-dom@19'],
    files: {
      'app/layout.js': 'export default ({ children }) => <html><body>{children}</body></html>\n',
      // A page without dynamic functions runs when it is built.
      'app/page.js': `${MODULE.replace('export ', '')}export default async () => <p>{await useNode()}</p>\n`,
      'next.config.mjs': "export default { serverExternalPackages: ['meshstore', 'better-sqlite3', 'pg'] }\n",
      'show.mjs':
        "import { readFileSync } from 'node:fs'\nconsole.log(readFileSync('.next/server/app/index.html', 'utf8'))\n",
    },
    commands: [['node_modules/next/dist/bin/next', 'build'], ['show.mjs']],
  },
  {
    name: 'Bun',
    slow: true,
    packages: ['bun@1'],
    files: { 'use.mjs': PROGRAM },
    commands: [['node_modules/bun/bin/bun.exe', 'use.mjs']],
  },
  {
    name: 'Deno',
    slow: true,
    packages: ['deno@2'],
    files: { 'use.mjs': PROGRAM },
    commands: [['node_modules/deno/bin.cjs', 'run', '--allow-all', '--node-modules-dir=manual', 'use.mjs']],
  },
]

/** Runs the quick ones, or all. */
export async function checkTools(work: string, tarball: string, all: boolean): Promise<void> {
  for (const tool of TOOLS) {
    if (tool.slow && !all) continue
    await check(`${tool.name} runs a program on it`, () => use(tool, work, tarball))
  }
}

async function use({ name, packages, files, commands }: Tool, work: string, tarball: string): Promise<void> {
  const folder = join(work, name.replaceAll(/\W+/g, '-'))
  await mkdir(folder)
  const allowScripts = { bun: true, deno: true, esbuild: true }
  await writeJson(join(folder, 'package.json'), { name: 'tool', private: true, allowScripts })
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await writeFile(join(folder, file), text)
  }
  await npm(folder, ['install', '--no-audit', '--no-fund', tarball, ...packages])
  let shown = ''
  for (const [program = '', ...args] of commands) {
    const isProgram = program.endsWith('.exe')
    const run = await command(
      isProgram ? join(folder, program) : process.execPath,
      isProgram ? args : [program, ...args],
      {
        cwd: folder,
      },
    )
    shown = `${run.stdout}${run.stderr}`
    equal(run.code, 0, shown)
  }
  match(shown, OUTPUT)
}
