/** The documents' snippets on PostgreSQL: each SQLite database of a snippet is a PostgreSQL database here, and nothing else changes. */
import { globSync, readFileSync } from 'node:fs'
import { symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { createDatabase } from './postgres/support/database.ts'
import { temporaryFolder } from './support/folders.ts'
import { type Printed, type Program, runSnippets } from './support/snippets.ts'

const root = join(import.meta.dirname, '..')
const SQLITE_URL = /'(sqlite:[^']*)'/g

/** Snippets about SQLite's files alone, and why. */
const OF_SQLITE: Readonly<Record<string, string>> = {
  'docs/operations/backup.md 0': 'it replaces a file by a backup',
  'docs/operations/copy.md 0': 'it copies a file to another database',
}

const snippets = ['README.md', ...globSync('docs/**/*.md', { cwd: root })].toSorted().flatMap((name) =>
  [...readFileSync(join(root, name), 'utf8').matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = ''], index) => ({
    what: `${name} ${index}`,
    code,
  })),
)
const portable = snippets.filter(({ what, code }) => code.search(SQLITE_URL) >= 0 && !(what in OF_SQLITE))

test('most snippets are of both dialects, and the others are there', () => {
  expect(portable.length).toBeGreaterThan(20)
  for (const what of Object.keys(OF_SQLITE)) expect(snippets.map((each) => each.what)).toContain(what)
})

let ran: ReadonlyMap<string, Printed>
beforeAll(async () => {
  await using stack = new AsyncDisposableStack()
  const programs: Program[] = []
  for (const { what, code } of portable) {
    const folder = stack.use(temporaryFolder())
    await symlink(join(root, 'node_modules'), folder.file('node_modules'))
    folder.write('package.json', '{ "type": "module" }')
    folder.write('snippet.ts', fromSource(code, await databasesOf(code, stack)))
    programs.push({ name: what, folder: folder.path, files: ['snippet.ts'] })
  }
  ran = await runSnippets(programs)
})

/** A URL for each that the snippet names. A file that is opened twice is one database; each in memory is one of its own. */
async function databasesOf(code: string, stack: AsyncDisposableStack): Promise<string[]> {
  const files = new Map<string, string>()
  const urls: string[] = []
  for (const [, url = ''] of code.matchAll(SQLITE_URL)) {
    const known = url === 'sqlite::memory:' ? undefined : files.get(url)
    const made = known ?? stack.use(await createDatabase()).url
    files.set(url, made)
    urls.push(made)
  }
  return urls
}

const fromSource = (code: string, urls: string[]): string =>
  code
    .replaceAll(SQLITE_URL, () => `'${urls.shift()}'`)
    .replaceAll("'meshstore'", `'${join(root, 'src/index.ts')}'`)
    .replaceAll("'meshstore/opentelemetry'", `'${join(root, 'src/opentelemetry-entry.ts')}'`)

test.each(portable)('$what', ({ what, code }) => {
  const { stdout, stderr } = ran.get(what) ?? {}
  expect(stderr).toBe('')
  if (!what.startsWith('docs/reference/errors.md')) return
  for (const [, says = ''] of code.matchAll(/\/\/ ([A-Z_]{4,}( true)?)$/gm)) expect(stdout).toContain(says)
})
