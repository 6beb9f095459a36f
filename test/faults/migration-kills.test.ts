/**
 * `kill -9` in the middle of migrations and of an adoption: what is there afterwards is what was there before, or what a
 * whole number of migrations makes of it, and the next run gets to the end.
 */
import { readFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { afterAll, expect, test } from 'vitest'
import { describePostgres } from '../postgres/support/suite.ts'
import { Script } from '../sqlite/support/script.ts'
import { bound, SEED } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { KEYS } from '../support/other-program.ts'
import { TAGS } from '../support/tags.ts'
import { filledFile, foreign, MANY_RULES } from './migration-files.ts'
import { type Kind, killInLoop, type Reference, Runners, referenceOf } from './migration-kills.ts'
import { type Place, postgresPlace, sqlitePlace } from './migration-places.ts'
import { LEDGER } from './migration-states.ts'
import { commitBetween, from, laterVersion, planted } from './migration-tree.ts'
import { shows } from './shown.ts'

const KILLS = bound('MIGRATION_KILLS', { short: 24, long: 400 })
const TIMEOUT = { timeout: 600_000 + KILLS * 5_000 }

const copy = await laterVersion()
const templates = temporaryFolder()
afterAll(() => {
  copy[Symbol.dispose]()
  templates[Symbol.dispose]()
})
const RUNNER = new URL('migration-runner.ts', import.meta.url)
const runner = await Script.bundle(RUNNER, from(copy))
const hastyRunner = await Script.bundle(RUNNER, from(copy, commitBetween))

const ours = templates.file('ours.db')
await filledFile(ours, { rules: MANY_RULES })
const theirs = templates.file('theirs.db')
const rows = foreign(theirs, { broken: true, rules: MANY_RULES })

const up = (place: Place): string[] => ['migrate', 'up', '--url', place.url]
const upgrade = (name: string, make: () => Promise<Place>): Kind => ({
  name,
  make,
  args: up,
  finish: (place) => [up(place)],
  wrong: async () => [],
})
const onSqlite = upgrade('migrate up on SQLite', async () => sqlitePlace(ours))
const onPostgres = upgrade('migrate up on PostgreSQL', postgresPlace)

const QUARANTINE = 'left-out.ndjson'
const adopt = (place: Place): string[] => [
  ...['migrate', 'adopt', '--url', place.url],
  ...['--quarantine', place.file(QUARANTINE)],
]
const adoption: Kind = {
  name: 'an adoption',
  make: async () => sqlitePlace(theirs, [QUARANTINE]),
  args: adopt,
  // If it was killed when it had adopted the file, and not yet applied what came then, that is for the second one.
  finish: (place) => [adopt(place), up(place)],
  wrong: async (place) => misplaced(place.url.slice('sqlite:'.length), place.file(QUARANTINE)),
}

/** Every row is kept, or quarantined, or dropped as it should be, and once. */
function misplaced(path: string, quarantine: string): string[] {
  const lines = readFileSync(quarantine, 'utf8').trimEnd().split('\n')
  const quarantined = lines.map((line) => {
    const { table, values }: { table: keyof typeof KEYS; values: Record<string, unknown> } = JSON.parse(line)
    return `${table} ${values[KEYS[table]]}`
  })
  const raw = new Sqlite(path, { readonly: true })
  const kept = Object.entries(KEYS).flatMap(([table, key]) =>
    raw
      .prepare<[], string>(`SELECT ${key} FROM ${table}`)
      .pluck()
      .all()
      .map((each) => `${table} ${each}`),
  )
  raw.close()
  const sorted = (fate: string): string[] =>
    rows
      .filter((row) => row.fate === fate)
      .map(({ table, key }) => `${table} ${key}`)
      .sort()
  return [
    ...(kept.sort().join('\n') === sorted('kept').join('\n') ? [] : [`${kept.length} rows are kept`]),
    ...(quarantined.sort().join('\n') === sorted('quarantined').join('\n')
      ? []
      : [`${quarantined.length} rows are quarantined`]),
  ]
}

/** How many migrations each state has: a run that nobody kills goes from one whole number to the next. */
const ledgers = ({ states }: Reference): number[] => states.map((state) => JSON.parse(state[LEDGER] ?? '').length)

const references = new Map<Kind, Promise<Reference>>()
function referenceFor(kind: Kind): Promise<Reference> {
  const reference = references.get(kind) ?? referenceOf(kind, runner)
  references.set(kind, reference)
  return reference
}

/** The migrations that this version has applied, and two more. */
const FROM_HERE = [0, 1, 2].map((more) => TAGS.length + more)

async function survives(kind: Kind, expected: { ledgers: number[] }): Promise<void> {
  const reference = await referenceFor(kind)
  expect(ledgers(reference)).toEqual(expected.ledgers)
  await using runners = new Runners(runner)
  await using finisher = runner.start()
  const figures = await killInLoop({ kind, reference, runners, finisher, kills: KILLS, seed: SEED })
  expect(figures.wrong).toEqual([])
  expect(figures.stopped).toBe(Math.ceil(KILLS / 2))
  expect(figures.atRandom).toBe(Math.floor(KILLS / 2))
  expect(figures.found.reduce((sum, count) => sum + (count ?? 0), 0)).toBe(KILLS)
  shows(`${kind.name}: ${KILLS} kills, ${figures.stopped} of them inside, none by half`)
}

const isBetween = (wrong: string): boolean => wrong.includes('it is between')

/** A kill between two statements is rare: it goes on until one is found. */
async function isCaught(kind: Kind): Promise<void> {
  const reference = await referenceFor(kind)
  await using runners = new Runners(hastyRunner)
  await using finisher = runner.start()
  const loop = { kind, reference, runners, finisher, kills: 200, seed: SEED }
  const figures = await killInLoop(loop, ({ wrong }) => wrong.some(isBetween))
  expect(figures.wrong.filter(isBetween)).toHaveLength(1)
}

test('of migrations that are killed, each has happened or has not, and the next run gets to the end', TIMEOUT, () =>
  survives(onSqlite, { ledgers: FROM_HERE }),
)

test('of an adoption that is killed, all has happened or nothing, and no row is lost or there twice', TIMEOUT, () =>
  survives(adoption, { ledgers: [...TAGS.keys(), ...FROM_HERE] }),
)

describePostgres('on PostgreSQL', () => {
  test('of migrations that are killed, each has happened or has not, and the next run gets to the end', TIMEOUT, () =>
    survives(onPostgres, { ledgers: FROM_HERE }),
  )

  test('the same test finds a migrator that commits between two statements', TIMEOUT, () => isCaught(onPostgres))
})

test.each([onSqlite, adoption])(
  'the same test finds a migrator that commits between two statements: $name',
  TIMEOUT,
  (kind) => isCaught(kind),
)

test('the mistake was planted in each place', () => expect(planted.count).toBe(2))
