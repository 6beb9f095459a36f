/** `drizzle-kit push` with the package's configuration is refused before it drops anything. */
import { expect, test } from 'vitest'
import { run } from '../schema/tree-copy.ts'
import { HERE, migrated, statusOf } from './support/commands.ts'
import { eachDialect } from './support/databases.ts'

eachDialect('drizzle-kit push', (_, make) => {
  test.each([[['push']], [['push', '--force']], [['--config=drizzle.config.ts', 'push', '--force']]])(
    '%j is refused, says what to run instead, and leaves the triggers',
    async (args) => {
      await using scratch = await make()
      await migrated(HERE, scratch.url, 'up')
      const before = await scratch.snapshot()
      const bin = 'node_modules/drizzle-kit/bin.cjs'
      const { code, stdout, stderr } = await run(HERE.root, bin, args, { DATABASE_URL: scratch.url })
      expect(`${stdout}${stderr}`).toMatch(/push: it would drop the triggers.*meshstore migrate up/)
      expect(code).toBe(1)
      expect(await scratch.snapshot()).toBe(before)
      expect(await statusOf(HERE, scratch.url)).toMatchObject({ code: 0, state: 'current' })
    },
  )
})
