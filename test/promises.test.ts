/** test/PROMISES.md: each promise stands on its page to the letter, and names tests that are there. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')

/** A doc comment is broken into lines wherever it has to be. */
const wordsOf = (text: string): string => text.replace(/\n\s*\*?\s+/g, ' ').replace(/\s+/g, ' ')

const HEADS = ['Promise', 'Tests', 'Dialects', 'Bulk', 'Not awaited', 'Rows', 'Others']
const YES = /^(yes|–|)$/
const CELLS = [
  /./,
  /^[\w./-]+(, [\w./-]+)*$/,
  /^(both|SQLite|PostgreSQL|–)$/,
  YES,
  YES,
  /^(none|many|million|, )*$|^–$/,
  YES,
]

interface Promised {
  readonly page: string
  readonly promise: string
  readonly tests: readonly string[]
  readonly cells: readonly string[]
}

function promisesIn(list: string): Promised[] {
  return list
    .split(/^## /m)
    .slice(1)
    .flatMap((section) => {
      const [page = '', ...lines] = section.split('\n')
      return lines
        .filter((line) => line.startsWith('|') && !line.startsWith('|---') && line !== `| ${HEADS.join(' | ')} |`)
        .map((line) => {
          const cells = line.split('|').slice(1, -1)
          const [promise = '', tests = ''] = cells.map((cell) => cell.trim())
          return { page, promise, tests: tests.split(', '), cells: cells.map((cell) => cell.trim()) }
        })
    })
}

const isThere = (name: string): boolean =>
  existsSync(join(root, 'test', `${name}.test.ts`)) || (name.includes('.') && existsSync(join(root, name)))

/** The faults of a list, each with a word and the promise. */
function faultsOf(list: string, pages: ReadonlyMap<string, string>): string[] {
  const promises = promisesIn(list)
  const uncovered = [...pages.keys()].filter((page) => !promises.some((each) => each.page === page))
  return [
    ...uncovered.map((page) => `no row: ${page}`),
    ...promises.flatMap(({ page, promise, tests, cells }) => [
      ...(pages.get(page)?.includes(promise) ? [] : [`not on ${page}: ${promise}`]),
      ...tests.filter((name) => !isThere(name)).map((name) => `no such test: ${name} (${promise})`),
      ...(cells.length === CELLS.length && CELLS.every((cell, index) => cell.test(cells[index] ?? ''))
        ? []
        : [`not a row: ${promise}`]),
    ]),
  ]
}

describe('the list of promises', () => {
  const names = ['README.md', ...globSync('docs/**/*.md', { cwd: root }), ...globSync('src/api/*.ts', { cwd: root })]
  const pages = new Map(names.map((name) => [name.replaceAll('\\', '/'), wordsOf(read(name))]))
  const list = read('test/PROMISES.md')

  test('quotes what stands there, names tests that are there, and has a row for each page', () => {
    expect(faultsOf(list, pages)).toEqual([])
  })

  test('has each promise once', () => {
    const rows = promisesIn(list).map(({ page, promise }) => `${page}: ${promise}`)
    expect(rows.length).toBeGreaterThan(200)
    expect(rows.filter((row, index) => rows.indexOf(row) !== index)).toEqual([])
  })

  test('is found to be wrong where it is', () => {
    const page = new Map([
      ['A.md', 'It never fails.'],
      ['B.md', 'It always works.'],
    ])
    const row = (promise: string, name: string): string => `| ${promise} | ${name} | both | – | – | – | – |`
    const listOf = (...rows: string[]): string => `## A.md\n\n| ${HEADS.join(' | ')} |\n${rows.join('\n')}\n`
    expect(faultsOf(listOf(row('It never fails.', 'promises')), page)).toEqual(['no row: B.md'])
    expect(faultsOf(listOf(row('It seldom fails.', 'promises')), page)).toContain('not on A.md: It seldom fails.')
    expect(faultsOf(listOf(row('never', 'gone')), page)).toContain('no such test: gone (never)')
    expect(faultsOf(listOf('| never | promises | both |'), page)).toContain('not a row: never')
  })
})
