/** Sixteen processes on one file, one of them in Python: nothing is lost, nobody is refused, and all may open it first. */
import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import type { Order, Outcomes } from './crowd.ts'
import { notTested, shows } from './shown.ts'

const PROCESSES = 16
const TRANSACTIONS = bound('CROWD_TRANSACTIONS', { short: 1_000, long: 10_000 })
const OPENINGS = bound('RACED_OPENINGS', { short: 250, long: 5_000 })
/** From the order to the moment at which all open the file, in milliseconds. */
const HEAD_START = 8

const script = await Script.bundle(new URL('crowd.ts', import.meta.url))
const PYTHON = fileURLToPath(new URL('crowd.py', import.meta.url))
const hasPython = spawnSync('python3', ['-c', 'import sqlite3']).status === 0
if (!hasPython) notTested('Python among sixteen processes', 'There is no python3 here: all sixteen are of the library.')

class Crowd implements AsyncDisposable {
  readonly all: readonly Program[]

  constructor(withPython: boolean) {
    const ours = Array.from({ length: PROCESSES - (withPython ? 1 : 0) }, () => script.start())
    this.all = withPython ? [...ours, new Program('python3', [PYTHON])] : ours
  }

  tell(order: (index: number) => Order): Promise<Outcomes[]> {
    return Promise.all(this.all.map((program, index) => program.ask<Outcomes>(order(index))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((program) => program.kill()))
  }
}

interface Written {
  readonly outcomes: readonly Outcomes[]
  readonly wrong: string[]
}

/** Each process writes so many transactions, which add a node of their own and count on one that all count on. */
async function write(count: number, options: { withPython: boolean; careless?: boolean }): Promise<Written> {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await using store = await openStorage(path)
  await store.nodes.create(node('shared'))
  await using crowd = new Crowd(options.withPython)
  const { careless = false } = options
  const outcomes = await crowd.tell((index) => ({ do: 'write', path, prefix: `p${index}`, count, careless }))
  const wrong: string[] = []
  for (let index = 0; index < PROCESSES; index++) {
    const found = await store.nodes.count({ interface: `p${index}` })
    const { done = 0 } = outcomes[index] ?? {}
    if (found !== done) wrong.push(`of process ${index}, ${done} were acknowledged, and ${found} are there`)
  }
  const acknowledged = outcomes.reduce((sum, { done = 0 }) => sum + done, 0)
  const counted = (await store.nodes.get('shared'))?.routesDiscovered
  if (counted !== acknowledged) wrong.push(`${acknowledged} were acknowledged, and ${counted} counted`)
  const raw = new Sqlite(path, { readonly: true })
  const integrity = raw.pragma('integrity_check', { simple: true })
  raw.close()
  if (integrity !== 'ok') wrong.push(`integrity_check: ${integrity}`)
  return { outcomes, wrong }
}

test(`${PROCESSES} processes write ${TRANSACTIONS} transactions each`, {
  timeout: 600_000 + TRANSACTIONS * 600,
}, async () => {
  const { outcomes, wrong } = await write(TRANSACTIONS, { withPython: hasPython })
  expect(wrong).toEqual([])
  expect(outcomes).toEqual(Array(PROCESSES).fill({ done: TRANSACTIONS }))
  const who = hasPython ? `${PROCESSES} processes, one of them Python` : `${PROCESSES} processes`
  shows(`${who}: ${PROCESSES * TRANSACTIONS} transactions, none lost, none refused`)
})

test('the same test finds a counter that is read and written in two steps', async () => {
  const { wrong } = await write(20, { withPython: false, careless: true })
  expect(wrong).toEqual([expect.stringMatching(/^\d+ were acknowledged, and \d+ counted$/)])
})

test(`a new file is opened by all at once, ${OPENINGS} times`, { timeout: 600_000 + OPENINGS * 1_000 }, async () => {
  using folder = temporaryFolder()
  await using crowd = new Crowd(false)
  for (let round = 0; round < OPENINGS; round++) {
    const path = folder.file(`${round}`, 'mesh.db')
    const at = Date.now() + HEAD_START
    const visits = await crowd.tell((index) => ({ do: 'visit', path, prefix: `p${index}`, at }))
    expect(visits, `round ${round}`).toEqual(Array(PROCESSES).fill({ done: 1 }))
    await using store = await openStorage({ url: path, migrate: 'check' })
    expect(await store.nodes.count()).toBe(PROCESSES)
    rmSync(folder.file(`${round}`), { recursive: true, force: true })
  }
  shows(`${OPENINGS} new files, each opened by ${PROCESSES} processes at once: all succeed`)
})
