import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ahead, type ComparisonTable, isTable, lead } from '../../bench/comparison-table.ts'
import { contest } from '../../bench/contest.ts'
import { documentOf } from '../../bench/document.ts'
import { withFigures } from '../../bench/readme.ts'
import { summaryOf } from '../../bench/statistics.ts'
import { bars } from '../../bench/svg.ts'
import { foundOf, saidOf, verdictsOf } from '../../bench/targets.ts'

test('a contest divides by the first contestant of the same round, and begins each round with another', async () => {
  const order: string[] = []
  const contestant = (name: string, cost: (round: number) => number) => async (round: number) => {
    order.push(name)
    return cost(round)
  }
  const rounds = [contestant('a', (round) => 10 * (round + 1)), undefined, contestant('c', (round) => 20 * (round + 1))]
  const [first, missing, last] = await contest(rounds, { warmUp: 1, count: 2 })
  expect(order.join('')).toBe('acca' + 'ca')
  expect(first?.value.samples).toBe(2)
  expect(first?.ratio).toBeUndefined()
  expect(missing).toBeUndefined()
  expect(last?.ratio).toMatchObject({ samples: 2, p10: 2, p50: 2, p90: 2 })
})

test('who is ahead depends on whether more is better', () => {
  const half = { value: summaryOf([5]), ratio: summaryOf([0.5]) }
  expect(lead('µs', half)).toBe(0.5)
  expect(lead('/s', half)).toBe(2)
  const table = (unit: 'µs' | '/s'): ComparisonTable => ({
    title: '',
    columns: ['ours', 'theirs'],
    rows: [{ name: 'read', unit, cells: [{ value: summaryOf([10]) }, half] }],
    notes: [],
    peers: true,
  })
  const [time, rate] = [table('µs'), table('/s')]
  expect(time.rows.map((row) => ahead(time, row))).toEqual([['theirs']])
  expect(rate.rows.map((row) => ahead(rate, row))).toEqual([[]])
})

test('a row that could not be measured is a target that was not measured', () => {
  const row = { name: 'read', unit: 'µs' as const, ours: summaryOf([3]) }
  const target = { text: '≤ 1 ms', value: 3, unit: 'ms' as const, met: false }
  const verdicts = verdictsOf(
    ['--quick'],
    [
      {
        benchmark: 'read',
        seconds: 1,
        outcomes: [
          { ...row, targets: [target] },
          { ...row, targets: [], notes: ['NOT MEASURED: there is no server'] },
          { ...row, targets: [] },
        ],
      },
    ],
  )
  expect(verdicts.map(saidOf)).toEqual(['NOT MET', 'NOT MEASURED'])
  expect(verdicts.map(foundOf)).toEqual(['3.00 ms', ''])
  expect(verdicts[0]?.command).toBe('npm run bench -- --quick --only read')
})

test('a plot draws each bar as long as its figure, and escapes what is no text of SVG', () => {
  const svg = bars(
    'A & <B>',
    [
      { label: 'ours', value: 2, text: '2' },
      { label: 'theirs', value: 1, text: '1' },
    ],
    'linear',
  )
  expect(svg).toContain('A &amp; &lt;B&gt;')
  const [ours = 0, theirs = 0] = [...svg.matchAll(/<rect x="\d+" y="\d+" width="([\d.]+)"/g)].map(([, width]) =>
    Number(width),
  )
  expect(ours).toBeGreaterThan(0)
  expect(theirs).toBeCloseTo(ours / 2)
})

test('what could not be measured comes back from JSON as it was', () => {
  const nothing = summaryOf([])
  const cells = [{ value: summaryOf([1]) }, undefined]
  const table = {
    title: 'SQLite',
    columns: ['a', 'b'],
    rows: [{ name: 'read', unit: 'µs', cells }],
    notes: [],
    peers: true,
  }
  const sections = [{ benchmark: 'read', seconds: 1, outcomes: [table, { name: 'read', ours: nothing }] }]
  const read = documentOf(JSON.stringify({ sections }))
  expect(read.sections[0]?.outcomes[1]).toMatchObject({ ours: { p50: Number.NaN } })
  const [back] = read.sections[0]?.outcomes ?? []
  expect(back !== undefined && isTable(back) ? back.rows[0]?.cells[1] : 'no table').toBeUndefined()
})

test('the figures of README.md are those of the results: node bench/readme.ts writes them', () => {
  const [readme, results] = ['README.md', 'bench/RESULTS.md'].map((file) =>
    readFileSync(join(import.meta.dirname, '../..', file), 'utf8'),
  )
  expect(withFigures(readme ?? '', results ?? '')).toBe(readme)
  for (const [right, wrong] of [
    [/group commit: [\d,]+/, 'group commit: 1'],
    [/(read a row by its id \| )[\d.]+/, '$19.99'],
  ] as const) {
    const edited = (readme ?? '').replace(right, wrong)
    expect(edited).not.toBe(readme)
    expect(withFigures(edited, results ?? '')).toBe(readme)
  }
})
