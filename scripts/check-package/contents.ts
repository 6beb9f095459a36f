/** The content of the tarball, and whether package.json describes it well. */
import { deepEqual, ok } from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { check } from './run.ts'

/** Everything else, sources, tests and their data, stays at home. */
const PUBLISHED =
  /^((dist|migrations|drizzle|examples\/deploy|examples\/mesh-api\/src\/tables)\/.*|docs\/([\w-]+\/)*[\w-]+\.(md|svg)|package\.json|(README|CHANGELOG|SECURITY)\.md|LICENSE)$/
const NEEDED = [
  'CHANGELOG.md',
  'LICENSE',
  'SECURITY.md',
  'README.md',
  'dist/THIRD_PARTY_LICENSES.txt',
  'dist/cli.js',
  'dist/commonjs/index.cjs',
  'dist/index.js',
  'dist/types/index.d.ts',
  'docs/moving-to-postgresql.md',
  'drizzle/postgresql.sql',
  'drizzle/postgresql-grants.sql',
  'drizzle/sqlite.sql',
  'examples/deploy/README.md',
  'migrations/postgresql/meta/_journal.json',
  'migrations/sqlite/meta/_journal.json',
  'package.json',
]

export async function checkContents(tarball: string): Promise<void> {
  const data = await readFile(tarball)
  const contents = createPackageFromTarballData(data)
  await check('the package holds what it needs, and nothing else', async () => {
    const files = contents.listFiles().map((file) => file.replace('/node_modules/meshstore/', ''))
    const needless = files.filter((file) => !PUBLISHED.test(file))
    const missing = NEEDED.filter((file) => !files.includes(file))
    deepEqual({ needless, missing }, { needless: [], missing: [] })
  })
  await check('links of its documents lead to its files, or say that the repository has them', async () => {
    const files = contents.listFiles()
    const dead = files
      .filter((file) => file.endsWith('.md'))
      .flatMap((file) => deadLinks(file, contents.readFile(file), files))
    ok(files.some((file) => file.endsWith('/docs/guarantees.md')))
    deepEqual(dead, [])
  })
  await check('publint has nothing to say', async () => {
    const { buffer, byteOffset, byteLength } = data
    const { messages, pkg = {} } = await publint({
      pack: { tarball: buffer.slice(byteOffset, byteOffset + byteLength) },
      strict: true,
    })
    const said = messages.map((message) => formatMessage(message, pkg))
    deepEqual(said, [])
  })
  await check('arethetypeswrong has nothing to say', async () => {
    const result = await checkPackage(contents)
    ok(result.types, 'there are types')
    deepEqual(result.problems, [])
  })
}

const LINK = /\]\((?!https?:|#)([^)#\s]+)/g

/** Links to what the package does not have, in a line that does not speak of the repository. */
function deadLinks(file: string, text: string, files: readonly string[]): string[] {
  const isSaid = text.includes('Links to `test/` lead into the repository')
  return text.split('\n').flatMap((line) =>
    [...line.matchAll(LINK)]
      .map(([, link = '']) => normalize(join(dirname(file), link)))
      .filter((target) => !files.includes(target) && !line.includes('repository'))
      .filter((target) => !(isSaid && target.includes('/meshstore/test/')))
      .map((target) => `${file} → ${target}`),
  )
}
