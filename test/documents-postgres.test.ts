/** The documents' snippets on PostgreSQL: each SQLite database of a snippet is a PostgreSQL database here, and nothing else changes. */
import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createDatabase } from './postgres/support/database.ts'
import { temporaryFolder } from './support/folders.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')
const SQLITE_URL = /'(sqlite:[^']*)'/g

/** What is about SQLite's files alone, and why. */
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

test.each(portable)('$what', async ({ what, code }) => {
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(await temporaryFolder()).path
  /** A file that is opened twice is one database; each database in memory is one of its own. */
  const databases = new Map<string, string>()
  const urls: string[] = []
  for (const [, url = ''] of code.matchAll(SQLITE_URL)) {
    const known = url === 'sqlite::memory:' ? undefined : databases.get(url)
    const made = known ?? stack.use(await createDatabase()).url
    databases.set(url, made)
    urls.push(made)
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  await writeFile(
    join(folder, 'snippet.ts'),
    code
      .replaceAll(SQLITE_URL, () => `'${urls.shift()}'`)
      .replaceAll("'meshstore'", `'${join(root, 'src/index.ts')}'`)
      .replaceAll("'meshstore/opentelemetry'", `'${join(root, 'src/opentelemetry-entry.ts')}'`),
  )
  const { stdout, stderr } = await run(process.execPath, ['snippet.ts'], { cwd: folder })
  expect(stderr).toBe('')
  if (!what.startsWith('docs/reference/errors.md')) return
  for (const [, says = ''] of code.matchAll(/\/\/ ([A-Z_]{4,}( true)?)$/gm)) expect(stdout).toContain(says)
})
