/** docs/guarantees.md: every promise names tests that are there and what they came to, and every suite of faults is in it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { guaranteesIn, withFigures } from './faults/guarantees.ts'

const root = join(import.meta.dirname, '..')
const document = readFileSync(join(root, 'docs/guarantees.md'), 'utf8')
const guarantees = guaranteesIn(document)

test('the table is complete', () => {
  const rows = document.split('\n').filter((line) => line.startsWith('|'))
  // Beside them, the heads and the rule below.
  expect(guarantees.length).toBe(rows.length - 2)
  expect(guarantees.length).toBeGreaterThan(20)
  for (const { promise, limits, figures } of guarantees) {
    expect(promise.trim(), promise).not.toBe('')
    expect(limits.trim(), promise).not.toBe('')
    expect(figures, promise).not.toBe('')
  }
})

test('each test that it names is there', () => {
  const named = guarantees.flatMap(({ tests }) => tests)
  expect(named.filter((file) => !existsSync(join(root, file)))).toEqual([])
})

test('each suite of faults proves something that is promised', () => {
  const named = new Set(guarantees.flatMap(({ tests }) => tests))
  const suites = readdirSync(join(root, 'test/faults')).filter((name) => name.endsWith('.test.ts'))
  expect(suites.map((name) => `test/faults/${name}`).filter((file) => !named.has(file))).toEqual([])
})

test('a run changes the figures of rows of which it ran all tests, and nothing else', () => {
  const table = [
    '| Promise | Limits | Proved by | Last figures |',
    '|---|---|---|---|',
    '| one | a | [x](../test/x.test.ts), [y](../test/y.test.ts) | old |',
    '| two | b | [z](../test/z.test.ts) | old |',
    '| three | c | [y](../test/y.test.ts), [z](../test/z.test.ts) | old |',
  ].join('\n')
  const figures = new Map([
    ['test/x.test.ts', ['3 | 4']],
    ['test/y.test.ts', ['5']],
  ])
  const changed = withFigures(table, figures)
  expect(changed).toBe(table.replace('| old |', '| 3 / 4; 5 |'))
  expect(guaranteesIn(changed).map(({ figures }) => figures)).toEqual(['3 / 4; 5', 'old', 'old'])
})
