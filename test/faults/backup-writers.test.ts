/**
 * Backups while four processes write as fast as they can: each is of one moment, and none is held up.
 */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { type Meshstore, openStorage, restoreBackup } from '../../src/index.ts'
import { NEWEST, newestId, policyId, policyText, ROWS, rowId, TOTAL, WRITERS } from '../backup/programs/agreeing.ts'
import { manifestOf } from '../backup/support/files.ts'
import { eventually } from '../backup/support/scheduled.ts'
import type { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { bound } from '../support/bounds.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { manyNodes, node, policy } from '../support/samples.ts'
import { shows } from './shown.ts'

const BACKUPS = bound('BACKUPS_WHILE_WRITING', { short: 24, long: 400 })
const TIMEOUT = { timeout: 600_000 + BACKUPS * 10_000 }
const FILLERS = 2_000
const PAGES_PER_STEP = 256

const script = await Script.bundle(new URL('../backup/programs/agreeing.ts', import.meta.url))
const writers = WRITERS.map((_, writer) => writer)

/** Rows that are written together lie far apart: 4 MB of other rows are in between. */
async function prepare(store: Meshstore): Promise<void> {
  const interfaces = Array.from({ length: 20 }, (_, index) => `interface-number-${index}-with-a-very-long-name`)
  const fillers = manyNodes(FILLERS, 'filler').map((each) => ({ ...each, interfaces }))
  for (let row = 0; row < ROWS; row++) {
    await store.nodes.createMany(fillers.splice(0, FILLERS / ROWS))
    await store.nodes.createMany(writers.map((writer) => node(rowId(writer, row))))
  }
  await store.nodes.create(node(TOTAL))
  await store.policies.createMany(writers.map((writer) => policy(policyId(writer), policyText(0))))
}

class Writing implements AsyncDisposable {
  readonly #programs: readonly Program[]

  constructor(path: string) {
    this.#programs = writers.map((writer) => script.start([path, String(writer)]))
  }

  /** How many turns of each were acknowledged. */
  acknowledged(): Promise<number[]> {
    return Promise.all(this.#programs.map((program) => program.ask<number>('count')))
  }

  /** Waits until each has had so many turns more. */
  async goOn(turns: number): Promise<number[]> {
    const before = await this.acknowledged()
    return eventually('each writer goes on', async () => {
      const now = await this.acknowledged()
      return now.every((count, writer) => count >= (before[writer] ?? 0) + turns) && now
    })
  }

  stop(): Promise<number[]> {
    return Promise.all(this.#programs.map((program) => program.ask<number>('stop')))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#programs.map((program) => program.kill()))
  }
}

async function setUp(folder: TemporaryFolder): Promise<{ store: Meshstore; path: string }> {
  const path = folder.file('data', 'mesh.db')
  const store = await openStorage({ url: path, busyTimeoutMs: 600_000 })
  await prepare(store)
  return { store, path }
}

function isSound(raw: Sqlite.Database): boolean {
  try {
    return raw.pragma('integrity_check', { simple: true }) === 'ok'
  } catch {
    return false
  }
}

/** The faults of a file that must be of one moment between the two. */
function problemsOf(file: string, least: readonly number[], most: readonly number[]): string[] {
  const raw = new Sqlite(file, { fileMustExist: true })
  try {
    if (!isSound(raw)) return ['it is damaged']
    const routes = raw.prepare<[string], number>('SELECT routes_discovered FROM nodes WHERE node_id = ?').pluck()
    const text = raw.prepare<[string], string>('SELECT yaml_content FROM policies WHERE policy_id = ?').pluck()
    const newest = raw
      .prepare<[string], string>('SELECT node_id FROM nodes WHERE node_id LIKE ? ORDER BY rowid')
      .pluck()
    const problems: string[] = []
    const assert = (holds: boolean, problem: string): void => void (holds || problems.push(problem))
    let turns = 0
    for (const writer of writers) {
      const turn = routes.get(rowId(writer, 0)) ?? -1
      turns += turn
      for (let row = 1; row < ROWS; row++) {
        const found = routes.get(rowId(writer, row))
        assert(found === turn, `writer ${writer}: row 0 is of turn ${turn}, row ${row} of turn ${found}`)
      }
      assert(text.get(policyId(writer)) === policyText(turn), `writer ${writer}: the policy is not of turn ${turn}`)
      const last = Array.from({ length: NEWEST }, (_, index) => turn - NEWEST + 1 + index).filter((each) => each > 0)
      assert(
        newest.all(newestId(writer, 0).replace(/0$/, '%')).join() === last.map((each) => newestId(writer, each)).join(),
        `writer ${writer}: the newest are not those of turn ${turn}`,
      )
      assert(turn >= (least[writer] ?? 0), `writer ${writer}: turn ${least[writer]} was acknowledged, it is of ${turn}`)
      assert(turn <= (most[writer] ?? 0) + 1, `writer ${writer}: turn ${turn} was not begun`)
    }
    assert(routes.get(TOTAL) === turns, `${routes.get(TOTAL)} turns were counted, ${turns} are there`)
    const fillers = raw.prepare("SELECT count(*) FROM nodes WHERE node_id LIKE 'filler-%'").pluck().get()
    assert(fillers === FILLERS, `${fillers} other rows are there`)
    return problems
  } finally {
    raw.close()
  }
}

/** Follows a copy. Throws when it has begun again. */
function follower(): { readonly steps: number; readonly follow: (at: { copied: number; total: number }) => void } {
  let [steps, before] = [0, -1]
  return {
    get steps() {
      return steps
    },
    follow: ({ copied, total }) => {
      steps++
      if (copied <= before || steps > total / PAGES_PER_STEP + 2) throw new Error('It began again.')
      before = copied
    },
  }
}

test(`each of ${BACKUPS} is of one moment, and none begins again`, TIMEOUT, async () => {
  using folder = temporaryFolder()
  const { store, path } = await setUp(folder)
  await using open = store
  await using writing = new Writing(path)
  await writing.goOn(NEWEST)
  const first = await writing.acknowledged()
  let steps = 0
  for (let index = 0; index < BACKUPS; index++) {
    const [file, restored] = [folder.file('backups', `${index}.sqlite`), folder.file('restored', `${index}.db`)]
    const least = await writing.acknowledged()
    const followed = follower()
    await open.backup(file, {
      onProgress: ({ copiedPages, totalPages }) => followed.follow({ copied: copiedPages, total: totalPages }),
    })
    steps += followed.steps
    const most = await writing.acknowledged()
    // Verifies first.
    await restoreBackup(file, restored)
    expect(problemsOf(restored, least, most), `backup ${index}`).toEqual([])
    for (const each of [file, manifestOf(file), restored]) rmSync(each)
  }
  const last = await writing.goOn(1)
  const turns = last.map((count, writer) => count - (first[writer] ?? 0))
  console.log(`${BACKUPS} backups in ${steps} steps, while four processes wrote ${turns.join(', ')} transactions`)
  shows(
    `${BACKUPS} backups while four processes wrote ${turns.reduce((sum, each) => sum + each, 0)} transactions: each of one moment`,
  )
  expect(steps).toBeGreaterThanOrEqual(3 * BACKUPS)
  const end = await writing.stop()
  expect(problemsOf(path, end, end)).toEqual([])
})

test('the same test finds a copy that was made with cp, and one of two moments', TIMEOUT, async () => {
  using folder = temporaryFolder()
  const { store, path } = await setUp(folder)
  await using open = store
  await using writing = new Writing(path)
  await writing.goOn(NEWEST)
  const copy = folder.file('copy.db')
  // While somebody reads, what is written is in the log alone.
  const least = await open.transaction(
    async (tx) => {
      await tx.nodes.count()
      const written = await writing.goOn(2)
      // Not in this process: closing a handle would drop SQLite's locks.
      expect(spawnSync('cp', [path, copy])).toMatchObject({ status: 0 })
      return written
    },
    { readOnly: true, timeoutMs: 60_000 },
  )
  const most = least.map((count) => count + 1_000_000)
  expect(problemsOf(copy, least, most)).toContainEqual(expect.stringMatching(/was acknowledged|is damaged/))

  const file = folder.file('backups', 'mesh.sqlite')
  await open.backup(file)
  expect(problemsOf(file, least, most)).toEqual([])
  await writing.goOn(1)
  const raw = new Sqlite(file)
  raw.exec(`ATTACH '${path}' AS live`)
  raw.exec(
    `UPDATE nodes SET routes_discovered = (SELECT routes_discovered FROM live.nodes AS now WHERE now.node_id = nodes.node_id) WHERE node_id LIKE 'row-7-%'`,
  )
  raw.close()
  expect(problemsOf(file, least, most)).toHaveLength(WRITERS.length)
})

test('the same test finds a copy that begins again at each write', async () => {
  using folder = temporaryFolder()
  const { store, path } = await setUp(folder)
  await store.close()
  const [raw, other] = [new Sqlite(path, { readonly: true }), new Sqlite(path)]
  const write = other.prepare('UPDATE nodes SET routes_discovered = routes_discovered + 1 WHERE node_id = ?')
  const { follow } = follower()
  // No transaction is open on it, which would choose the moment.
  const copying = raw.backup(folder.file('copy.db'), {
    progress: ({ totalPages, remainingPages }) => {
      follow({ copied: totalPages - remainingPages, total: totalPages })
      write.run(TOTAL)
      return PAGES_PER_STEP
    },
  })
  await expect(copying).rejects.toThrow('It began again.')
  for (const each of [raw, other]) each.close()
})
