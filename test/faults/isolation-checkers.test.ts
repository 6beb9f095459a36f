/** The checkers of histories find every anomaly that they claim to find, and none where there is none. */
import { describe, expect, test } from 'vitest'
import { BANK_ANOMALIES, type Bank, type BankAnomaly, checkBank } from './isolation/bank.ts'
import type { Step, Transaction } from './isolation/history.ts'
import { ANOMALIES, type Anomaly, check } from './isolation/list-append.ts'
import {
  type Audited,
  checkRows,
  ROW_ANOMALIES,
  type RowAnomaly,
  type RowStep,
  type RowTransaction,
} from './isolation/rows.ts'
import { integerFrom, randomFrom } from './random.ts'

const read = (key: string, ...list: number[]): Step => ({ do: 'read', key, list })
const append = (key: string, value: number): Step => ({ do: 'append', key, value })

interface History {
  readonly history: readonly Transaction[]
  readonly final: ReadonlyMap<string, readonly number[]>
}

/** All at once, unless a moment is given. */
const transaction = (steps: Step[], more: Partial<Transaction> = {}): Transaction => ({
  steps,
  begun: 0,
  ended: 1_000_000,
  outcome: 'committed',
  ...more,
})

const lists = (final: Record<string, number[]>): ReadonlyMap<string, number[]> => new Map(Object.entries(final))

/** The smallest history of each. Numbers from -1 down: they are put into a history that has its own. */
const PLANTED: Readonly<Record<Anomaly, History>> = {
  'garbage read': { history: [transaction([read('x', -9)])], final: lists({ x: [-9] }) },
  duplicate: { history: [transaction([append('x', -1)])], final: lists({ x: [-1, -1] }) },
  'incompatible order': {
    history: [transaction([append('x', -1)]), transaction([append('x', -2)]), transaction([read('x', -2, -1)])],
    final: lists({ x: [-1, -2] }),
  },
  internal: {
    history: [transaction([append('x', -1)]), transaction([read('x'), read('x', -1)])],
    final: lists({ x: [-1] }),
  },
  'aborted read': {
    history: [transaction([append('x', -1)], { outcome: 'aborted' }), transaction([read('x', -1)])],
    final: lists({ x: [-1] }),
  },
  'intermediate read': {
    history: [transaction([append('x', -1), append('x', -2)]), transaction([read('x', -1)])],
    final: lists({ x: [-1, -2] }),
  },
  'lost append': { history: [transaction([append('x', -1)])], final: lists({ x: [] }) },
  'dirty write': {
    history: [transaction([append('x', -1), append('y', -2)]), transaction([append('x', -3), append('y', -4)])],
    final: lists({ x: [-1, -3], y: [-4, -2] }),
  },
  'circular information flow': {
    history: [transaction([append('x', -1), read('y', -2)]), transaction([append('y', -2), read('x', -1)])],
    final: lists({ x: [-1], y: [-2] }),
  },
  'single anti-dependency': {
    history: [transaction([append('x', -1), append('y', -2)]), transaction([read('x'), read('y', -2)])],
    final: lists({ x: [-1], y: [-2] }),
  },
  'anti-dependency cycle': {
    history: [transaction([read('x'), append('y', -2)]), transaction([read('y'), append('x', -1)])],
    final: lists({ x: [-1], y: [-2] }),
  },
  'out of time': {
    history: [transaction([append('x', -1)], { begun: 1, ended: 2 }), transaction([read('x')], { begun: 3, ended: 4 })],
    final: lists({ x: [-1] }),
  },
}

/** Serial, of many lists: each transaction reads some of them and appends to some. */
function sound(seed: number, length: number): { history: Transaction[]; final: Map<string, number[]> } {
  const random = randomFrom(seed)
  const final = new Map<string, number[]>()
  let value = 0
  const history = Array.from({ length }, (_, at): Transaction => {
    const aborted = random() < 0.1
    const own = new Map([...final].map(([key, list]) => [key, [...list]]))
    const steps = Array.from({ length: integerFrom(random, 1, 5) }, (): Step => {
      const key = `k${integerFrom(random, 0, 9) + 10 * Math.floor(at / 100)}`
      const list = own.get(key) ?? []
      own.set(key, list)
      if (random() < 0.5) return { do: 'read', key, list: [...list] }
      list.push(++value)
      return { do: 'append', key, value }
    })
    if (!aborted) for (const [key, list] of own) final.set(key, list)
    // They overlap with their neighbours.
    return {
      steps,
      begun: at * 10,
      ended: at * 10 + integerFrom(random, 1, 40),
      outcome: aborted ? 'aborted' : 'committed',
    }
  })
  return { history, final }
}

const names = (found: readonly { anomaly: string }[]): string[] => [...new Set(found.map(({ anomaly }) => anomaly))]

describe('lists', () => {
  test('an anomaly of every kind can be planted', () => {
    expect(Object.keys(PLANTED).sort()).toEqual([...ANOMALIES].sort())
  })

  test.each(ANOMALIES)('%s, by itself', (anomaly) => {
    const { history, final } = PLANTED[anomaly]
    expect(names(check(history, final))).toContain(anomaly)
  })

  test.each([1, 2, 3])('nothing is found where nothing is: seed %i', (seed) => {
    const { history, final } = sound(seed, 5_000)
    expect(check(history, final)).toEqual([])
  })

  test.each(ANOMALIES)('%s, among 5,000 that are sound, and nothing else', (anomaly) => {
    const { history, final } = sound(7, 5_000)
    const planted = PLANTED[anomaly]
    const shift = planted.history.map((each) =>
      anomaly === 'out of time' ? { ...each, begun: each.begun + 25_000, ended: each.ended + 25_000 } : each,
    )
    const all = [...history.slice(0, 2_500), ...shift, ...history.slice(2_500)]
    const found = check(all, new Map([...final, ...planted.final]))
    expect(names(found)).toContain(anomaly)
    const involved = new Set(found.flatMap(({ transactions }) => transactions))
    const places = new Set(shift.map((_, index) => 2_500 + index))
    expect([...involved].filter((at) => !places.has(at))).toEqual([])
  })

  test('a lost update: two that read the same list, and both append to it', () => {
    const history = [transaction([read('x'), append('x', 1)]), transaction([read('x'), append('x', 2)])]
    expect(names(check(history, lists({ x: [1, 2] })))).toEqual(['single anti-dependency'])
    expect(names(check(history, lists({ x: [2] })))).toEqual(['lost append'])
  })

  test('one of which nobody knows may have happened, or not', () => {
    const history = [transaction([append('x', 1)], { outcome: 'unknown' }), transaction([append('y', 2)])]
    expect(check(history, lists({ x: [1], y: [2] }))).toEqual([])
    expect(check(history, lists({ x: [], y: [2] }))).toEqual([])
  })
})

const called = (steps: RowStep[], more: Partial<RowTransaction> = {}): RowTransaction => ({
  client: 0,
  begun: 0,
  ended: 1_000_000,
  outcome: 'committed',
  steps,
  ...more,
})
const wrote = (row: string, version: string): RowStep => ({ call: 'save', row, wrote: version })
const saw = (row: string, version: string | null): RowStep => ({ call: 'get', row, saw: { is: 'version', version } })
const found = (row: string): RowStep => ({ call: 'create', row, saw: { is: 'present' } })
const deleted = (row: string): RowStep => ({ call: 'delete', rows: [row], deleted: 1 })
const counted = (count: number, ...rows: string[]): RowStep => ({ call: 'count', rows, counted: count, filtered: true })
const audited = (row: string, version: string | null, group = ''): Audited => ({ row, version, group })

interface Rows {
  readonly history: readonly RowTransaction[]
  readonly audit: readonly Audited[]
}
const BEFORE = called([wrote('x', 'x1'), wrote('y', 'y1')], { begun: 0, ended: 1 })
const AFTER = { begun: 2, ended: 3 }
const X1 = audited('x', 'x1')
const Y1 = audited('y', 'y1')

const PLANTED_ROWS: Readonly<Record<RowAnomaly, Rows>> = {
  'garbage read': { history: [called([saw('x', 'x9')])], audit: [] },
  'aborted read': {
    history: [called([wrote('x', 'x1')], { outcome: 'aborted' }), called([saw('x', 'x1')])],
    audit: [],
  },
  'intermediate read': {
    history: [called([wrote('x', 'x1'), wrote('x', 'x2')]), called([saw('x', 'x1')])],
    audit: [X1, audited('x', 'x2')],
  },
  internal: { history: [called([wrote('x', 'x1'), saw('x', null)])], audit: [X1] },
  'lost write': { history: [called([wrote('x', 'x1')])], audit: [] },
  'impossible read': { history: [BEFORE, called([saw('x', null)], AFTER)], audit: [X1, Y1] },
  'dirty write': {
    history: [called([wrote('x', 'x1'), wrote('y', 'y1')]), called([wrote('x', 'x2'), wrote('y', 'y2')])],
    audit: [X1, audited('x', 'x2'), audited('y', 'y2'), Y1],
  },
  'circular information flow': {
    history: [called([wrote('x', 'x1'), saw('y', 'y1')]), called([wrote('y', 'y1'), saw('x', 'x1')])],
    audit: [X1, Y1],
  },
  'single anti-dependency': {
    history: [called([wrote('x', 'x1'), wrote('y', 'y1')]), called([saw('x', null), saw('y', 'y1')])],
    audit: [X1, Y1],
  },
  'anti-dependency cycle': {
    history: [
      BEFORE,
      called([found('x'), deleted('y'), wrote('z', 'z1')], AFTER),
      called([found('y'), deleted('x'), wrote('w', 'w1')], AFTER),
    ],
    audit: [X1, Y1, audited('y', null, '1'), audited('z', 'z1', '1'), audited('x', null, '2'), audited('w', 'w1', '2')],
  },
  'out of time': {
    history: [called([wrote('x', 'x1')], { begun: 1, ended: 2 }), called([wrote('x', 'x2')], { begun: 3, ended: 4 })],
    audit: [audited('x', 'x2'), X1],
  },
}

describe('rows', () => {
  test('an anomaly of every kind can be planted', () => {
    expect(Object.keys(PLANTED_ROWS).sort()).toEqual([...ROW_ANOMALIES].sort())
  })

  test.each(ROW_ANOMALIES)('%s, and its calls are named', (anomaly) => {
    const { history, audit } = PLANTED_ROWS[anomaly]
    const all = checkRows(history, audit)
    expect(names(all)).toContain(anomaly)
    expect(all[0]?.what).toMatch(/save|get|create/)
  })

  test('a refused create by itself that answers as of an earlier moment', () => {
    const history = [
      called([wrote('x', 'x1')], { begun: 0, ended: 1 }),
      called([wrote('y', 'y1')], { begun: 2, ended: 3 }),
      called([saw('y', null), deleted('x'), wrote('z', 'z1')], { begun: 2, ended: 6 }),
      called([found('x')], { begun: 4, ended: 5 }),
    ]
    const audit = [X1, audited('y', 'y1', '0'), audited('x', null, '1'), audited('z', 'z1', '1')]
    expect(names(checkRows(history, audit))).toEqual(['out of time'])
  })

  test('a predicate that two look at, each before the other makes a row match', () => {
    const unmatched = (row: string): RowStep => ({ call: 'list', row, saw: { is: 'unmatched' } })
    for (const look of [unmatched, (row: string): RowStep => counted(0, row)]) {
      const history = [called([look('x'), wrote('y', 'y1/1')]), called([look('y'), wrote('x', 'x1/1')])]
      const audit = [audited('x', 'x1/1'), audited('y', 'y1/1')]
      expect(names(checkRows(history, audit))).toEqual(['anti-dependency cycle'])
    }
  })

  test('an update by filter says how many rows it changed, and that the others did not match', () => {
    const update = (changed: number): RowStep => ({
      ...{ call: 'updateMany', rows: ['x', 'y'], became: 'u/1', filtered: true },
      changed,
    })
    const [matching, other] = [wrote('x', 'x1/1'), wrote('y', 'y1/0')]
    const before = called([matching, other], { begun: 0, ended: 1 })
    const audit = [audited('x', 'x1/1'), audited('y', 'y1/0'), audited('x', 'u/1')]
    expect(checkRows([before, called([update(1)], AFTER)], audit)).toEqual([])
    expect(names(checkRows([before, called([update(2)], AFTER)], audit))).toEqual(['lost write'])
    const both = called([matching, wrote('y', 'y1/1')], { begun: 0, ended: 1 })
    const passedOver = [audited('x', 'x1/1'), audited('y', 'y1/1'), audited('x', 'u/1')]
    expect(names(checkRows([both, called([update(1)], AFTER)], passedOver))).toEqual(['impossible read'])
  })

  test('nothing is found where they ran one after the other', () => {
    const history = [
      BEFORE,
      called([found('x'), deleted('y'), wrote('z', 'z1')], AFTER),
      called([saw('y', null), counted(0, 'x', 'y'), deleted('x'), wrote('v', 'v1')], { begun: 4, ended: 5 }),
      called([deleted('z')], { begun: 6, ended: 7 }),
    ]
    const first = [X1, Y1, audited('y', null, '1'), audited('z', 'z1', '1')]
    const then = [audited('x', null, '2'), audited('v', 'v1', '2'), audited('z', null, '3')]
    expect(checkRows(history, [...first, ...then])).toEqual([])
  })
})

const balances = (a: number, b: number): ReadonlyMap<string, number> =>
  new Map([
    ['a', a],
    ['b', b],
  ])
const BANK: Bank = {
  accounts: ['a', 'b'],
  initial: 100,
  transfers: [
    { from: 'a', to: 'b', amount: 30, begun: 0, ended: 10, outcome: 'committed' },
    { from: 'b', to: 'a', amount: 500, begun: 0, ended: 10, outcome: 'aborted' },
  ],
  reads: [
    { begun: 5, balances: balances(100, 100), counts: balances(0, 0) },
    { begun: 15, balances: balances(70, 130), counts: balances(1, 1) },
  ],
  final: balances(70, 130),
}

const SPOILT: Readonly<Record<BankAnomaly, Partial<Bank>>> = {
  'wrong total': { reads: [{ begun: 5, balances: balances(70, 100), counts: balances(0, 0) }] },
  'missing account': { reads: [{ begun: 5, balances: new Map([['a', 200]]), counts: new Map() }] },
  overdrawn: { reads: [{ begun: 5, balances: balances(-1, 201), counts: balances(0, 0) }] },
  'lost transfer': { final: balances(100, 100) },
  'stale read': { reads: [{ begun: 15, balances: balances(100, 100), counts: balances(0, 0) }] },
}

describe('accounts', () => {
  test('nothing is found where nothing is', () => expect(checkBank(BANK)).toEqual([]))

  test.each(BANK_ANOMALIES)('%s, and nothing else', (anomaly) => {
    expect(names(checkBank({ ...BANK, ...SPOILT[anomaly] }))).toEqual([anomaly])
  })
})
