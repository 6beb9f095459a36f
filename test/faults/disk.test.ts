/** A disk that fails in the middle of it: what was acknowledged is there, what was refused is not, and it goes on. */
import Sqlite from 'better-sqlite3'
import { afterAll, describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import type { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { tally } from '../sqlite/support/settled.ts'
import { all } from '../support/expectations.ts'
import { numbered } from '../support/samples.ts'
import { acknowledgeRefused, doRefusedAgain, planted } from './answer-failed-commits.ts'
import type { Order } from './disk-writer.ts'
import { type Disk, fullDisk, type KindOfDisk, kindsOfDisk } from './disks.ts'
import { notTested, shows } from './shown.ts'

const script = await Script.bundle(new URL('disk-writer.ts', import.meta.url))
const hopefulScript = await Script.bundle(new URL('disk-writer.ts', import.meta.url), acknowledgeRefused)
const stubbornScript = await Script.bundle(new URL('disk-writer.ts', import.meta.url), doRefusedAgain)
const ROUNDS = 20
let exercised = 0

/** The outcome of each write. */
class Writes {
  readonly outcomes = new Map<string, string>()
  readonly #program: Program

  constructor(program: Program) {
    this.#program = program
  }

  ask<T>(order: Order): Promise<T> {
    return this.#program.ask<T>(order)
  }

  async create(prefix: string, count: number): Promise<string[]> {
    const nodeIds = Array.from({ length: count }, (_, index) => numbered(prefix, index))
    const codes = await this.ask<string[]>({ do: 'create', nodeIds })
    for (const [index, nodeId] of nodeIds.entries()) this.outcomes.set(nodeId, codes[index] ?? '')
    return codes
  }

  async transaction(prefix: string, count: number): Promise<string> {
    const nodeIds = Array.from({ length: count }, (_, index) => numbered(prefix, index))
    const code = await this.ask<string>({ do: 'transaction', nodeIds })
    for (const nodeId of nodeIds) this.outcomes.set(nodeId, code)
    return code
  }

  with(...codes: string[]): string[] {
    return [...this.outcomes].filter(([, code]) => codes.includes(code)).map(([nodeId]) => nodeId)
  }
}

interface Figures {
  readonly counts: Readonly<Record<string, number>>
  readonly wrong: string[]
}

/** Writes before, while and after the disk is full, and says what is wrong with what is there in the end. */
async function exercise(disk: Disk, from: Script, { name, writing, backingUp }: KindOfDisk): Promise<Figures> {
  const path = disk.folder.file('mesh.db')
  await using program = from.start()
  const writes = new Writes(program)
  // A database of 2 MB, and a log that is empty.
  await writes.ask({ do: 'open', path })
  expect(tally(await writes.create('before', 1_000))).toEqual({ done: 1_000 })
  await writes.ask({ do: 'close' })
  await writes.ask({ do: 'open', path })
  expect(tally(await writes.create('at-first', 10))).toEqual({ done: 10 })

  disk.fill(program.pid, path)
  const seen: string[] = []
  for (let round = 0; round < ROUNDS; round++) {
    seen.push(...(await writes.create(`round-${round}`, 20)))
    seen.push(await writes.transaction(`transaction-${round}`, 20))
  }
  const counts = tally(seen)
  console.log(`${name}: ${JSON.stringify(counts)}`)
  // Both happened, and nothing else did.
  expect(counts).toEqual({ done: expect.any(Number), [writing]: expect.any(Number) })
  // Readers go on meanwhile.
  const readable = new Set(await writes.ask<string[]>({ do: 'read' }))
  const wrong = lostOf(writes, readable).map((problem) => `meanwhile, ${problem}`)
  const backup: Order = { do: 'backup', target: disk.folder.file('backups', 'mesh.backup') }
  const refused = await writes.ask<{ outcome: string; left: string[] }>(backup)
  expect(refused).toEqual({ outcome: backingUp, left: [] })

  disk.heal(program.pid)
  expect(tally(await writes.create('after', 100))).toEqual({ done: 100 })
  expect(await writes.transaction('after-transaction', 20)).toBe('done')
  expect(await writes.ask(backup)).toEqual({ outcome: 'done', left: ['mesh.backup', 'mesh.backup.manifest.json'] })
  expect(await program.kill()).toEqual({ code: null, signal: 'SIGKILL' })
  wrong.push(...(await problemsOf(path, writes)))
  return { counts, wrong }
}

const lostOf = (writes: Writes, there: ReadonlySet<string>): string[] =>
  writes
    .with('done')
    .filter((nodeId) => !there.has(nodeId))
    .map((nodeId) => `${nodeId} was acknowledged, and is lost`)

async function problemsOf(path: string, writes: Writes): Promise<string[]> {
  const raw = new Sqlite(path)
  const integrity = raw.pragma('integrity_check', { simple: true })
  raw.close()
  await using store = await openStorage(path)
  const there = new Set((await all(store.nodes.iterate())).map(({ nodeId }) => nodeId))
  // A transaction is there as a whole or not at all.
  const torn = Array.from({ length: ROUNDS }, (_, round) => `transaction-${round}-`).filter(
    (prefix) => ![0, 20].includes([...there].filter((nodeId) => nodeId.startsWith(prefix)).length),
  )
  return [
    ...(integrity === 'ok' ? [] : [`integrity_check: ${integrity}`]),
    ...lostOf(writes, there),
    ...writes
      .with('STORAGE_FULL')
      .filter((nodeId) => there.has(nodeId))
      .map((nodeId) => `${nodeId} was refused, and is there`),
    ...torn.map((prefix) => `${prefix} is there by half`),
  ]
}

/** `undefined` where there is no such disk. */
async function exerciseOn(kind: KindOfDisk, from: Script): Promise<Figures | undefined> {
  const made = kind.make()
  if (made === undefined) {
    notTested(kind.name, 'It needs root, or another system.')
    return undefined
  }
  exercised++
  using disk = made
  return await exercise(disk, from, kind)
}

describe.each(kindsOfDisk)('$name', (kind) => {
  test('loses nothing, keeps nothing that was refused, and the store goes on when it is healed', async () => {
    const figures = await exerciseOn(kind, script)
    if (figures === undefined) return
    const { counts, wrong } = figures
    expect(wrong).toEqual([])
    const { name, writing } = kind
    shows(`${name}: ${counts.done} writes done, ${counts[writing]} ${writing}, none lost, none there that was refused`)
  })

  test('the same test finds a queue that acknowledges what could not be committed', async () => {
    const figures = await exerciseOn(kind, hopefulScript)
    if (figures === undefined) return
    expect(figures.wrong).toContainEqual(expect.stringMatching(/^meanwhile, .* is lost$/))
    expect(figures.wrong).toContainEqual(expect.stringMatching(/^round-.* is lost$/))
  })
})

test('the same test finds a queue that refuses, and does it all the same when there is room', async () => {
  const figures = await exerciseOn(fullDisk, stubbornScript)
  if (figures === undefined) return
  expect(figures.wrong).toContainEqual(expect.stringMatching(/^round-.* was refused, and is there$/))
})

test('each mistake was planted', () => expect(planted.count).toBe(2))

afterAll(() => {
  expect(exercised, 'No disk could be made to fail here.').toBeGreaterThan(0)
})
