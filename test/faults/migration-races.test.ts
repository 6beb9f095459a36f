/**
 * Many processes open one database at the same moment: all of them succeed, and each migration is applied once.
 */
import { copyFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase } from '../postgres/support/database.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { catalog, databaseOf, migrationsIn } from '../schema/catalog.ts'
import type { Dialect } from '../schema/tree-copy.ts'
import type { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { tally } from '../sqlite/support/settled.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { numbered } from '../support/samples.ts'
import { filledFile, foreign, leftOver } from './migration-files.ts'
import type { Order, Outcome } from './migration-racer.ts'
import { LEDGER, postgresState, type State, sqliteState, unlike } from './migration-states.ts'
import { from, laterVersion, migrationsOf } from './migration-tree.ts'
import { shows } from './shown.ts'

const ROUNDS = bound('RACE_ROUNDS', { short: 8, long: 200 })
const PROCESSES = 32
/** At most: it fails in the first one, as a rule. */
const CONTROL_ROUNDS = 20
const TIMEOUT = { timeout: 600_000 + ROUNDS * 10_000 }

const copy = await laterVersion()
const folder = temporaryFolder()
const script = await Script.bundle(new URL('migration-racer.ts', import.meta.url), from(copy))
let racers: Program[] = []
beforeAll(async () => {
  racers = Array.from({ length: PROCESSES }, () => script.start())
  for (const racer of racers) expect(await racer.line(), racer.errors).toBe('@ready')
})
afterAll(async () => {
  await Promise.all(racers.map((racer) => racer.kill()))
  copy[Symbol.dispose]()
  folder[Symbol.dispose]()
})

let files = 0
const fresh = (name: string): string => folder.file(numbered(name, files++))

type Race = Pick<Order, 'do' | 'url' | 'at'>

/** Tells each to begin, and lets them go when each has said that it waits, or has failed. */
async function race(order: Race, among = racers): Promise<{ waiting: number; outcomes: Outcome[] }> {
  const dialect: Dialect = order.url.startsWith('sqlite:') ? 'sqlite' : 'postgresql'
  const more = { go: fresh('go'), folder: join(copy.root, 'migrations', dialect) }
  for (const [index, racer] of among.entries()) racer.send({ ...order, ...more, nodeId: `racer-${index}` })
  const lines = await Promise.all(among.map((racer) => racer.line()))
  const waiting = lines.map((line) => line === '@waiting')
  writeFileSync(more.go, '')
  const outcomes = await Promise.all(
    among.map(async (racer, index) => JSON.parse(waiting[index] ? await racer.line() : (lines[index] ?? ''))),
  )
  return { waiting: waiting.filter(Boolean).length, outcomes }
}

interface Figures {
  rounds: number
  waiting: number
  asked: number
  refused: number
}

/** The rounds of one kind. In every second one they wait for each other when all of them have seen that something is pending. */
async function rounds(name: string, round: (at: Order['at'], figures: Figures) => Promise<void>): Promise<void> {
  const figures: Figures = { rounds: 0, waiting: 0, asked: 0, refused: 0 }
  for (; figures.rounds < ROUNDS; figures.rounds++) await round(figures.rounds % 2 === 0 ? 'lock' : 'start', figures)
  console.log(`${PROCESSES} processes, ${name}: ${JSON.stringify(figures)}`)
  shows(`${PROCESSES} processes at once, ${figures.rounds} times, ${name}: all succeed`)
  expect(figures.waiting).toBe(ROUNDS * PROCESSES)
  expect(figures.asked).toBeGreaterThanOrEqual(Math.ceil(ROUNDS / 2) * PROCESSES)
}

async function allSucceed(order: Race, figures: Figures): Promise<void> {
  const { waiting, outcomes } = await race(order)
  expect(tally(outcomes.map(({ outcome }) => outcome))).toEqual({ done: PROCESSES })
  figures.waiting += waiting
  figures.asked += outcomes.filter(({ asked }) => asked).length
  figures.refused += outcomes.filter(({ refused }) => refused).length
}

/** One alone, before everybody else. */
async function alone(url: string): Promise<void> {
  const { outcomes } = await race({ do: 'visit', url, at: 'start' }, racers.slice(0, 1))
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['done'])
}

const timesIn = (state: State): number[] =>
  JSON.parse(state[LEDGER] ?? '').map(([, when]: [string, string]) => Math.round(Number(when)))
const times = (dialect: Dialect): number[] => migrationsOf(copy, dialect).map(({ when }) => when)

const RACERS = "node_id LIKE 'racer-%'"
const without = (path: string): State =>
  sqliteState(path, `DELETE FROM nodes WHERE ${RACERS}; DELETE FROM path_cache_marks`)

function nodesOfRacers(path: string): number {
  const raw = new Sqlite(path, { readonly: true })
  const count = raw.prepare(`SELECT count(*) FROM nodes WHERE ${RACERS}`).pluck().get()
  raw.close()
  return Number(count)
}

/** One is of the file as it was; whoever applies a later migration makes one of what is there then. */
function copiesAreWhole(path: string, before: State | undefined): void {
  const { copies, partial, other } = leftOver(
    path,
    readdirSync(folder.path).filter((each) => folder.file(each).startsWith(path)),
  )
  expect([...partial, ...other]).toEqual([])
  const states = copies.map((each) => sqliteState(folder.file(each)))
  const first = before === undefined ? [] : states.filter((state) => unlike(state, before).length === 0)
  expect(first).toHaveLength(before === undefined ? 0 : 1)
  const later = states.filter((state) => !first.includes(state))
  const expected = times('sqlite')
  const ledgers = later.map((state) => timesIn(state))
  expect(ledgers).toEqual(ledgers.map(({ length }) => expected.slice(0, length)))
  expect(new Set(ledgers.map(({ length }) => length)).size).toBe(ledgers.length)
  expect(later.filter(({ integrity }) => integrity !== 'ok')).toEqual([])
}

/** `make`: the file that is there when they begin. */
const kinds: { name: string; make?: (path: string) => Promise<unknown> }[] = [
  { name: 'a new file' },
  { name: 'a file with migrations pending', make: (path) => filledFile(path, { rules: 1 }) },
  { name: 'a file that another program made', make: async (path) => foreign(path, { broken: false, rules: 1 }) },
]

describe('at once, on SQLite', () => {
  test.each(kinds)(`${PROCESSES} processes may open $name`, TIMEOUT, async ({ name, make }) => {
    const template = fresh('template')
    await make?.(template)
    const begun = (): string => {
      const path = fresh('mesh')
      if (make !== undefined) copyFileSync(template, path)
      return path
    }
    const clean = begun()
    await alone(clean)
    const expected = without(clean)
    expect(timesIn(expected)).toEqual(times('sqlite'))
    const made = new Sqlite(clean, { readonly: true })
    expect(catalog(made)).toMatchObject(catalog(databaseOf(...migrationsIn(copy.root))))
    made.close()

    await rounds(name, async (at, figures) => {
      const path = begun()
      await allSucceed({ do: 'visit', url: `sqlite:${path}`, at }, figures)
      const found = without(path)
      expect(timesIn(found)).toEqual(times('sqlite'))
      expect(unlike(found, expected)).toEqual([])
      expect(found.integrity).toBe('ok')
      expect(nodesOfRacers(path)).toBe(PROCESSES)
      copiesAreWhole(path, make === undefined ? undefined : sqliteState(template))
    })
  })

  test("drizzle-orm's migrator, which takes no lock, fails", TIMEOUT, async () => {
    const failures: string[] = []
    for (let round = 0; round < CONTROL_ROUNDS && failures.length === 0; round++) {
      const path = fresh('drizzle')
      const { outcomes } = await race({ do: 'drizzle', url: `sqlite:${path}`, at: 'start' })
      failures.push(...failed(outcomes, sqliteState(path), 'sqlite'))
    }
    console.log(`drizzle-orm, SQLite: ${JSON.stringify(tally(failures))}`)
    expect(failures.length).toBeGreaterThan(0)
  })
})

/** The programs that failed, and entries that the ledger holds more than once. */
const failed = (outcomes: readonly Outcome[], state: State, dialect: Dialect): string[] => [
  ...outcomes.filter(({ outcome }) => outcome !== 'done').map(({ outcome }) => outcome.split('\n')[0] ?? ''),
  ...(timesIn(state).length > times(dialect).length ? ['a migration was applied twice'] : []),
]

describePostgres('at once, on PostgreSQL', () => {
  // Its own: they need most of the connections that a server has.
  let server: PostgresServer
  beforeAll(async () => {
    server = await startPostgres()
    return () => server.stop()
  })

  test(`${PROCESSES} processes may open a new database`, TIMEOUT, async () => {
    await using clean = await createDatabase(server.url('postgres'))
    await alone(clean.url)
    const expected = await postgresState(clean, RACERS)
    expect(timesIn(expected)).toEqual(times('postgresql'))
    await rounds('a new PostgreSQL database', async (at, figures) => {
      await using database = await createDatabase(server.url('postgres'))
      await allSucceed({ do: 'visit', url: database.url, at }, figures)
      expect(unlike(await postgresState(database, RACERS), expected)).toEqual([])
      const [nodes] = await database.query<{ count: string }>(`SELECT count(*) FROM nodes WHERE ${RACERS}`)
      expect(Number(nodes?.count)).toBe(PROCESSES)
    })
  })

  test("drizzle-orm's migrator, which takes no lock, fails", TIMEOUT, async () => {
    const failures: string[] = []
    for (let round = 0; round < CONTROL_ROUNDS && failures.length === 0; round++) {
      await using database = await createDatabase(server.url('postgres'))
      const { outcomes } = await race({ do: 'drizzle', url: database.url, at: 'start' })
      failures.push(...failed(outcomes, await postgresState(database), 'postgresql'))
    }
    console.log(`drizzle-orm, PostgreSQL: ${JSON.stringify(tally(failures))}`)
    expect(failures.length).toBeGreaterThan(0)
  })
})
