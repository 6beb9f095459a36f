/** drizzle-kit's other commands with the package's configuration, beside `migrate`. */
import { statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { run, TreeCopy, urls } from '../schema/tree-copy.ts'
import { temporaryFolder } from '../support/folders.ts'
import { drizzleKitMigrate, HERE, statusOf } from './support/commands.ts'

const KIT = 'node_modules/drizzle-kit/bin.cjs'

test.each([
  [['pull']],
  [['introspect']],
  [['up']],
  [['drop']],
  [['--config', 'drizzle.config.ts', 'pull']],
  [['generate', '--custom', '--name=mine']],
  [['generate', '--name=mine', '--custom=true']],
])('%j is refused with a sentence, and writes nothing', async (args) => {
  using copy = new TreeCopy()
  const before = copy.generated()
  const { code, stdout, stderr } = await run(copy.root, KIT, args, { DATABASE_URL: urls.sqlite })
  expect(`${stdout}${stderr}`).toMatch(/meshstore: drizzle-kit [\w-]+: it would .*\.$/m)
  expect(code).toBe(1)
  expect(copy.generated()).toEqual(before)
})

describe('drizzle-kit migrate', () => {
  test.skipIf(process.platform === 'win32')('makes a file for its owner alone, as the library does', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await drizzleKitMigrate(HERE, `sqlite:${path}`)
    expect((statSync(path).mode & 0o777).toString(8)).toBe('600')
    expect(await statusOf(HERE, `sqlite:${path}`)).toMatchObject({ state: 'current' })
  })
})
