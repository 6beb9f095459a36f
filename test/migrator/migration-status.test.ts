/** The status of ledgers that a test makes up. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { StorageError } from '../../src/index.ts'
import { hasOurs, type Ledger, lastApplied, migrationStatus } from '../../src/migrator/ledger.ts'
import type { Migration } from '../../src/migrator/migrations.ts'
import { assertProperty } from '../support/properties.ts'

const migration = (when: number, hash = `hash-${when}`): Migration => {
  const tag = `${String(when).padStart(4, '0')}_at_${when}`
  return { tag, file: `migrations/sqlite/${tag}.sql`, when, hash, statements: [] }
}
const KNOWN = [10, 20, 30].map((when) => migration(when))

/** `migration:<when>` for each: the name that the migration left in the database. */
const named = (...whens: readonly number[]): Record<string, string> =>
  Object.fromEntries(whens.map((when) => [`migration:${when}`, migration(when).tag]))

const ledger = (whens: readonly number[], notes: Record<string, string> = named(...whens)): Ledger => ({
  rows: whens.map((when) => ({ when, hash: `hash-${when}` })),
  notes: new Map(Object.entries(notes)),
  hasState: true,
})

type Result =
  | { code: string; message: string }
  | { applied: number[]; pending: number[]; newer: readonly string[]; foreign: readonly string[] }

function result(known: readonly Migration[], of: Ledger): Result {
  try {
    const { applied, pending, newer, foreign } = migrationStatus(known, of)
    return { applied: applied.map(({ when }) => when), pending: pending.map(({ when }) => when), newer, foreign }
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return { code: error.code, message: error.message }
  }
}

describe('migrationStatus()', () => {
  test.each<[string, number[], object]>([
    ['nothing applied', [], { applied: [], pending: [10, 20, 30] }],
    ['a beginning', [10, 20], { applied: [10, 20], pending: [30] }],
    ['all', [10, 20, 30], { applied: [10, 20, 30], pending: [] }],
    ['all, in another order of rows', [30, 10, 20], { applied: [10, 20, 30], pending: [] }],
    ['one twice, as two that raced would leave it', [10, 10], { applied: [10], pending: [20, 30] }],
    ['a younger one that is not known', [10, 20, 30, 40], { applied: [10, 20, 30], pending: [] }],
    ['a hole', [10, 30], { code: 'MIGRATION_OUT_OF_ORDER' }],
    ['a hole at the beginning', [20, 30], { code: 'MIGRATION_OUT_OF_ORDER' }],
    ['an older one that is not known', [10, 15, 20], { code: 'MIGRATION_MISSING' }],
    ['one older than all', [5, 10, 20, 30], { code: 'MIGRATION_MISSING' }],
    ['a younger one, while a known one is pending', [10, 20, 40], { code: 'MIGRATION_OUT_OF_ORDER' }],
    ['a younger one, twice', [10, 20, 30, 40, 40], { pending: [], newer: ['0040_at_40'] }],
  ])('of %s', (_, whens, expected) => {
    expect(result(KNOWN, ledger(whens))).toMatchObject(expected)
  })

  test('looks at every hash, not at the last one alone', () => {
    for (const when of [10, 20, 30]) {
      const rows = [10, 20, 30].map((each) => ({ when: each, hash: each === when ? 'another' : `hash-${each}` }))
      expect(result(KNOWN, { rows, notes: new Map(), hasState: true })).toMatchObject({
        code: 'MIGRATION_EDITED',
        message: expect.stringContaining(migration(when).file),
      })
    }
  })

  test('of a database with rows, for code without migrations', () => {
    expect(result([], ledger([10]))).toMatchObject({ applied: [], pending: [], newer: ['0010_at_10'] })
    expect(result([], ledger([]))).toEqual({ applied: [], pending: [], newer: [], foreign: [] })
  })

  test('names what it does not know, each once, in order', () => {
    const notes = { 'migration:40': '0004_region', 'migration:50': '0005_zone' }
    expect(result(KNOWN, ledger([10, 20, 30, 50, 40, 40], notes))).toMatchObject({
      newer: ['0004_region', '0005_zone'],
    })
    expect(result(KNOWN, ledger([10, 15], { 'migration:15': '0001_lost' }))).toMatchObject({
      message: expect.stringContaining('0001_lost'),
    })
  })

  test.each<[string, number[], object]>([
    ['first, and ours not yet', [5, 15, 99], { applied: [], pending: [10, 20, 30] }],
    ['between ours and after them', [10, 15, 20, 30, 99], { applied: [10, 20, 30], pending: [] }],
    ['younger than what is pending', [10, 99], { applied: [10], pending: [20, 30] }],
    ['without a time', [10, Number.NaN], { applied: [10], pending: [20, 30] }],
  ])("takes no notice of another program's migrations: %s", (_, whens, expected) => {
    const ours = whens.filter((when) => KNOWN.some((each) => each.when === when))
    expect(result(KNOWN, ledger(whens, named(...ours)))).toMatchObject({
      ...expected,
      newer: [],
      foreign: whens.filter((when) => !ours.includes(when)).map((when) => expect.stringContaining(`hash-${when}`)),
    })
    expect(lastApplied(KNOWN, ledger(whens, named(...ours)))).toBe(
      KNOWN.findLast(({ when }) => ours.includes(when))?.tag ?? 'none',
    )
    expect(hasOurs(KNOWN, ledger(whens, named(...ours)))).toBe(ours.length > 0)
  })

  test('knows a migration by its hash, where drizzle-kit 1.0 dropped the milliseconds, and one that was edited since', () => {
    const known = [migration(10_123), migration(20_456)]
    const rows = known.map(({ hash, when }) => ({ hash, when: Math.floor(when / 1_000) * 1_000 }))
    const of = { rows, notes: new Map<string, string>(), hasState: true }
    expect(result(known, of)).toEqual({ applied: [10_123, 20_456], pending: [], newer: [], foreign: [] })
    expect(lastApplied(known, of)).toBe(known[1]?.tag)
    for (const when of [20_000, 20_456])
      expect(result(known, { ...of, rows: [...rows.slice(0, 1), { hash: 'another', when }] })).toMatchObject({
        code: 'MIGRATION_EDITED',
      })
  })

  test('marks: of a known one nothing, of another a refusal, also without a row', () => {
    const [last] = KNOWN.slice(-1)
    expect(result(KNOWN, ledger([10, 20, 30], { [`breaking:${last?.tag}`]: 'why' }))).toMatchObject({ pending: [] })
    for (const whens of [[10, 20, 30], [10], [10, 20, 30, 40]]) {
      expect(result(KNOWN, ledger(whens, { 'breaking:0004_split': 'nodes are elsewhere' }))).toMatchObject({
        code: 'SCHEMA_NEWER',
        message: expect.stringMatching(/0004_split \(nodes are elsewhere\)/),
      })
    }
  })

  test('lastApplied() is the youngest, known or not', () => {
    expect(lastApplied(KNOWN, ledger([]))).toBe('none')
    expect(lastApplied(KNOWN, ledger([20, 10]))).toBe('0020_at_20')
    expect(lastApplied(KNOWN, ledger([10, 40, 30], { 'migration:40': '0004_region' }))).toBe('0004_region')
  })
})

/** Histories: times of migrations, which of them the code has, which were applied, and which were edited since. */
const histories = fc
  .uniqueArray(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 })
  .map((times) => times.sort((a, b) => a - b))
  .chain((times) => {
    const flags = fc.array(fc.boolean(), { minLength: times.length, maxLength: times.length })
    const rarely = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: times.length, maxLength: times.length })
    return fc.record({ times: fc.constant(times), known: flags, applied: flags, edited: rarely, shuffle: fc.integer() })
  })
  .map(({ times, known, applied, edited, shuffle }) => {
    const of = (chosen: (index: number) => boolean) => times.filter((_, index) => chosen(index))
    return {
      known: of((index) => known[index] === true),
      applied: of((index) => applied[index] === true).sort(
        (a, b) => ((a * 7 + shuffle) % 11) - ((b * 7 + shuffle) % 11),
      ),
      edited: of((index) => edited[index] === 0),
    }
  })

/** The four rules, said of sets of times. */
function expected({ known, applied, edited }: { known: number[]; applied: number[]; edited: number[] }): string[] {
  const newest = Math.max(0, ...known)
  const last = Math.max(0, ...applied)
  const refusals = [
    [known.some((when) => applied.includes(when) && edited.includes(when)), 'MIGRATION_EDITED'],
    [applied.some((when) => !known.includes(when) && when < newest), 'MIGRATION_MISSING'],
    [known.some((when) => !applied.includes(when) && when < last), 'MIGRATION_OUT_OF_ORDER'],
  ] as const
  return refusals.filter(([refused]) => refused).map(([, code]) => code)
}

describe('for whatever was applied by whomever', () => {
  test('one of the refusals that hold is thrown, or else everything is accounted for', async () => {
    await assertProperty(
      'migrationStatus()',
      fc.asyncProperty(histories, async ({ known, applied, edited }) => {
        const codes = expected({ known, applied, edited })
        const migrations = known.map((when) => migration(when, edited.includes(when) ? 'edited' : undefined))
        const found = result(migrations, ledger(applied))
        if (codes.length > 0) {
          expect(codes).toContain('code' in found && found.code)
          return
        }
        const newest = Math.max(0, ...known)
        expect(found).toEqual({
          applied: known.filter((when) => applied.includes(when)),
          pending: known.filter((when) => !applied.includes(when)),
          newer: applied
            .filter((when) => when > newest)
            .sort((a, b) => a - b)
            .map((when) => migration(when).tag),
          foreign: [],
        })
      }),
      { runs: 2_000 },
    )
  })

  test('what is pending can be applied, one after another, and then nothing is', async () => {
    await assertProperty(
      'applying what is pending',
      fc.asyncProperty(histories, async ({ known, applied }) => {
        const migrations = known.map((when) => migration(when))
        let done = [...applied]
        for (;;) {
          const found = result(migrations, ledger(done))
          if ('code' in found) {
            // Applying never leads into a refusal: it was there before.
            expect(done).toEqual(applied)
            return
          }
          const [next] = found.pending
          if (next === undefined) break
          done = [...done, next]
        }
        expect(done).toEqual(expect.arrayContaining(known))
      }),
      { runs: 1_000 },
    )
  })
})
