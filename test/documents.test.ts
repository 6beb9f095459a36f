/** The documents' snippets, as they stand: extracted, compiled and run; and their links. */
import { execFile } from 'node:child_process'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { copyFile, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { QUICK } from './support/quick.ts'
import { type Printed, runSnippets } from './support/snippets.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')
const PAGES = ['README.md', ...globSync('docs/**/*.md', { cwd: root })].toSorted()
const pages = PAGES.map((name) => ({ name, text: readFileSync(join(root, name), 'utf8') }))
const snippets = pages.flatMap(({ name, text }) =>
  [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ''], index) => ({ name, what: `${name} ${index}`, code })),
)
const filesOf = (page: string): string[] =>
  snippets.flatMap(({ name }, index) => (name === page ? [`snippet-${index}.ts`] : []))

/** As an application imports it; here it is the source. */
const fromSource = (code: string): string =>
  code
    .replaceAll("'meshstore'", `'${join(root, 'src/index.ts')}'`)
    .replaceAll("'meshstore/opentelemetry'", `'${join(root, 'src/opentelemetry-entry.ts')}'`)

/** The `@example`s of doc comments, compiled after a few declarations of what they speak of. */
const examples = globSync('src/{api/*,*}.ts', { cwd: root }).flatMap((name) =>
  [...readFileSync(join(root, name), 'utf8').matchAll(/^ *\* @example\n((?: *\* .*\n)+)/gm)]
    .map(([, comment = '']) => comment.replaceAll(/^ *\* ?/gm, ''))
    // A store with tables of the application: docs/guides/own-tables.md runs it.
    .filter((code) => !code.includes('store.query(')),
)
const BEFORE_EXAMPLE = `import type { Change, Meshstore, PathBundle, PathKey } from '${join(root, 'src/index.ts')}'
import { instrument } from '${join(root, 'src/opentelemetry-entry.ts')}'
declare const store: Meshstore
declare const key: PathKey
declare const findPaths: (key: PathKey) => Promise<PathBundle>
declare const apply: (change: Change) => Promise<void>
declare let lastToken: string | undefined
export { apply, findPaths, instrument, key, lastToken, store }
`

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(QUICK, 'meshstore-readme-'))
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { typeRoots: [join(root, 'node_modules/@types')], noUnusedLocals: false },
      include: ['*.ts'],
      exclude: [],
    }),
  )
  // Packages that snippets import.
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  for (const [index, code] of examples.entries())
    await writeFile(join(folder, `example-${index}.ts`), BEFORE_EXAMPLE + code)
  for (const [index, { code }] of snippets.entries()) {
    await writeFile(join(folder, `snippet-${index}.ts`), fromSource(code))
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the documents', () => {
  test('has snippets, each of which imports the library', () => {
    expect(snippets.length).toBeGreaterThanOrEqual(12)
    for (const { code } of snippets) expect(code).toContain("from 'meshstore'")
  })

  test('compiles, and so do the examples of the doc comments', async () => {
    expect(examples.length).toBeGreaterThanOrEqual(6)
    await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder]).catch(({ stdout }) => {
      throw new Error(stdout)
    })
  })

  const withSnippets = PAGES.filter((page) => filesOf(page).length > 0)
  let ran: ReadonlyMap<string, Printed>
  beforeAll(async () => {
    ran = await runSnippets(withSnippets.map((name) => ({ name, folder, files: filesOf(name) })))
  })

  test.each(withSnippets)('run: %s', (page) => {
    const { stdout = '', stderr } = ran.get(page) ?? {}
    expect(stderr).toBe('')
    const printed = stdout.split(/^snippet-.*$/m).slice(1)
    expect(printed.length).toBe(filesOf(page).length)
    if (page !== 'docs/reference/errors.md') return
    for (const [at, { code }] of snippets.filter(({ name }) => name === page).entries())
      for (const [, says = ''] of code.matchAll(/\/\/ ([A-Z_]{4,}( true)?)$/gm)) expect(printed[at]).toContain(says)
  })

  test("work on every run: the README's first program, twice in one folder", async () => {
    const own = await mkdtemp(join(QUICK, 'meshstore-first-'))
    try {
      await writeFile(join(own, 'package.json'), '{ "type": "module" }')
      await copyFile(
        join(folder, `snippet-${snippets.findIndex(({ what }) => what === 'README.md 0')}.ts`),
        join(own, 'a.ts'),
      )
      for (const _ of ['first', 'second']) {
        expect(await run(process.execPath, ['a.ts'], { cwd: own })).toEqual({ stdout: '1\n', stderr: '' })
        expect(existsSync(join(own, 'mesh.db'))).toBe(true)
      }
    } finally {
      await rm(own, { recursive: true, force: true })
    }
  })

  test("go on where they were: getting started's first program, twice in one folder", async () => {
    const own = await mkdtemp(join(QUICK, 'meshstore-started-'))
    try {
      await writeFile(join(own, 'package.json'), '{ "type": "module" }')
      const at = snippets.findIndex(({ what }) => what === 'docs/getting-started.md 0')
      await copyFile(join(folder, `snippet-${at}.ts`), join(own, 'a.ts'))
      for (const count of [1, 2])
        expect((await run(process.execPath, ['a.ts'], { cwd: own })).stdout).toBe(`[ 'gw-2' ]\n${count}\n`)
    } finally {
      await rm(own, { recursive: true, force: true })
    }
  })

  test('name every tracing event with its fields', () => {
    const events = readFileSync(join(root, 'src/tracing-events.ts'), 'utf8')
    const inSource = [...events.matchAll(/`(meshstore:\w+)`(?:(?!export).)*?export interface \w+ \{\n(.*?)^\}/gms)]
    const page = readFileSync(join(root, 'docs/reference/tracing.md'), 'utf8')
    expect(inSource.length).toBe(page.match(/^\| `meshstore:/gm)?.length)
    for (const [, channel = '', body = ''] of inSource) {
      const row = page.split('\n').find((line) => line.startsWith(`| \`${channel}\``))
      const fields = [...body.matchAll(/^ {2}(?:readonly )?(\w+)\??:/gm)].map(([, name = '']) => name)
      const named = [...(row?.split('|').at(-2) ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name)
      expect(named.toSorted(), channel).toEqual(fields.toSorted())
    }
  })

  test('link to what is there', () => {
    const dead = pages.flatMap(({ name, text }) =>
      [...text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)]
        .map(([, link = '']) => ({ name, link }))
        .filter(({ link }) => !isThere(name, link)),
    )
    expect(dead).toEqual([])
  })

  test('install the package from the file that is packed, while npm does not have it', () => {
    const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const readme = pages.find((page) => page.name === 'README.md')?.text ?? ''
    expect(readme).toContain('not on npm yet')
    expect(readme).toMatch(/^npm ci && npm pack .*makes meshstore-\S+\.tgz$/m)
    expect(readme).toContain(`npm install ../${name}-${version}.tgz`)
    const fromNpm = new RegExp(`^npm (i|install|add)( -\\S+)* ${name}\\b`, 'm')
    expect(pages.filter(({ text }) => fromNpm.test(text)).map((page) => page.name)).toEqual([])
  })

  test('leave the README short enough to be read', () => {
    expect(pages.find(({ name }) => name === 'README.md')?.text.split('\n').length).toBeLessThanOrEqual(151)
  })

  test('notices a snippet that fails', async () => {
    await writeFile(join(folder, 'broken.ts'), 'const wrong: number = "text"\nthrow new Error(String(wrong))\n')
    const config = join(folder, 'broken.json')
    await writeFile(config, JSON.stringify({ extends: './tsconfig.json', include: ['broken.ts'] }))
    const compiled = run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', config])
    await expect(compiled).rejects.toMatchObject({ stdout: expect.stringMatching(/broken\.ts.*TS2322/) })
    const { stderr } = (await runSnippets([{ name: 'broken', folder, files: ['broken.ts'] }])).get('broken') ?? {}
    expect(stderr).toContain('Error: text')
    await rm(join(folder, 'broken.ts'))
  })
})

const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

function isThere(page: string, link: string): boolean {
  const [path = '', anchor] = link.split('#')
  const file = join(root, path === '' ? page : join(dirname(page), path))
  if (!existsSync(file)) return false
  if (anchor === undefined) return true
  const headings = readFileSync(file, 'utf8').matchAll(/^#+ (.+)$/gm)
  return [...headings].some(([, heading = '']) => anchorOf(heading) === anchor)
}
