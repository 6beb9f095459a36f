import { describe, expect, it } from 'vitest'
import { run, TreeCopy } from './tree-copy.ts'

/** The errors that the compiler finds in row-types.ts and what it imports. */
async function compile(copy: TreeCopy): Promise<string> {
  copy.write(
    'tsconfig.rows.json',
    JSON.stringify({ extends: './tsconfig.json', include: ['test/schema/row-types.ts'] }),
  )
  const { code, stdout, stderr } = await run(copy.root, 'node_modules/typescript/bin/tsc', ['-p', 'tsconfig.rows.json'])
  expect(code === 0).toBe(stdout + stderr === '')
  return stdout + stderr
}

describe('the row types of the twin tables', () => {
  it('are equal', async () => {
    using copy = new TreeCopy()
    expect(await compile(copy)).toBe('')
  })

  it.each([
    ['a column of another type', `flag('started').notNull().default(false)`, `integer('started').notNull().default(0)`],
    ['a column that may be null', `integer('rules_count').notNull()`, `integer('rules_count')`],
    ['a column without a default', `integer('routes_discovered').notNull().default(0)`, `integer('r').notNull()`],
    ['a column more', `k: integer('k').notNull(),`, `k: integer('k').notNull(),\n    l: integer('l').notNull(),`],
  ])('differ with %s', async (_, from, to) => {
    using copy = new TreeCopy()
    copy.edit('src/schema/sqlite.ts', from, to)
    expect(await compile(copy)).toMatch(/^test\/schema\/row-types\.ts\(\d+,\d+\): error TS2344/m)
  })
})
