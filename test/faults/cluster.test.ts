/**
 * A real PostgreSQL cluster whose servers are killed, frozen and switched under load. Nothing acknowledged is lost, no outcome
 * stays unknown, and no subscriber misses a change without being told. The long form takes each fault through each way in.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStorage, StorageError } from '../../src/index.ts'
import { bound, FORM } from '../support/bounds.ts'
import { Cluster, type Via } from './cluster/cluster.ts'
import { type Came, drill, inBrief, row } from './cluster/drill.ts'
import { FAULTS, type Fault } from './cluster/faults.ts'
import type { LoadOptions } from './cluster/load-messages.ts'
import { LATE_TOKEN, LOYAL, MistakenSource } from './cluster/mistaken-source.ts'
import { clusterPrograms } from './cluster/programs.ts'
import { backedUp, copiedInto, migrated, movedInto } from './cluster/tools.ts'
import { TypedDrill } from './cluster/typed-drill.ts'
import { notTested, shows } from './shown.ts'

/** Calls a second. */
const RATE = bound('CLUSTER_RATE', { short: 120, long: 500 })
const FAILOVERS = bound('CLUSTER_FAILOVERS', { short: 1, long: 100 })
/** So many follow each other under one load. */
const TOGETHER = 10
/** A failover that takes so long hangs. */
const LONGEST_MS = 300_000
/** A machine that is short of time takes longer to find a new primary. */
const PATIENT: LoadOptions = { failoverMs: 120_000, outcomeTokens: true }
type Case = readonly [Fault, Via]
const SHORT: readonly Case[] = [
  [FAULTS.killed, 'hosts'],
  [FAULTS.frozen, 'hosts'],
  [FAULTS.switchover, 'hosts'],
  [FAULTS.lost, 'haproxy'],
]
const WAYS: readonly Via[] = ['hosts', 'haproxy']
const LONG: readonly Case[] = [
  ...[
    FAULTS.killed,
    FAULTS.lost,
    FAULTS.crashed,
    FAULTS.frozen,
    FAULTS.switchedTwice,
    FAULTS.standbyKilled,
    FAULTS.standbyFrozen,
    FAULTS.etcdFailsafe,
    FAULTS.etcd,
  ].flatMap((fault) => WAYS.map((via) => [fault, via] as const)),
  [FAULTS.balancerKilled, 'haproxy'],
  ...[FAULTS.bouncerKilled, FAULTS.killed, FAULTS.frozen, FAULTS.switchover].map(
    (fault) => [fault, 'pgbouncer'] as const,
  ),
]

const programs = process.env.DIALECTS === 'sqlite' ? 'DIALECTS=sqlite leaves PostgreSQL out.' : clusterPrograms()
if (typeof programs === 'string') notTested('a PostgreSQL cluster that loses servers', programs)

describe.skipIf(typeof programs === 'string')('a PostgreSQL cluster that loses servers', () => {
  let cluster: Cluster
  let turn = 0
  beforeAll(async () => {
    if (typeof programs === 'string') return
    cluster = await Cluster.start(programs)
    return () => cluster[Symbol.asyncDispose]()
  })
  const struck = async (fault: Fault, via: Via, options = PATIENT): Promise<Came> => {
    const came = await drill(cluster, { fault, via, rate: RATE, options, turn: turn++ })
    console.log(row(came))
    shows(inBrief(came))
    return came
  }

  for (const [fault, via] of FORM === 'long' ? LONG : SHORT)
    test(`${fault.name}, through ${via}: nothing is lost or doubtful`, async () => {
      holds(await struck(fault, via))
    })

  test('without synchronous replication a failover loses writes: every subscriber is told', async () => {
    let found = false
    for (let round = 0; round < 5 && !found; round++) {
      const { lost, listeners, stale, stuck, deaf } = await struck(FAULTS.asynchronous, 'hosts')
      const silent = listeners.map(({ missed, ghosts }) => missed + ghosts)
      expect({ silent, stale, stuck, deaf }).toEqual({ silent: [0, 0], stale: 0, stuck: 0, deaf: 0 })
      found = lost > 0 && listeners.every(({ told }) => told > 0)
    }
    expect(found).toBe(true)
  })

  test('while there is no primary, opening waits for one, or names the hosts that it asked', async () => {
    await cluster.settled()
    const url = cluster.url(await cluster.createDatabase(), 'hosts')
    const primary = await cluster.primary()
    const [etcd, killed] = [cluster.machine('etcd'), cluster.machine(primary)]
    // Without etcd no standby takes over.
    etcd.freeze()
    await killed.kill()
    const refused = await openStorage(`${url}&connect_timeout=2`).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(StorageError)
    expect((refused as StorageError).code).toBe('UNAVAILABLE')
    for (const host of new URL(url.replace(/@[^/]*,/, '@')).host.split(',')) expect(String(refused)).toContain(host)
    const opening = openStorage(`${url}&connect_timeout=120`)
    etcd.thaw()
    await using store = await opening
    await store.nodes.create({ nodeId: 'first', interfaces: [], protocols: [] })
    expect(await store.nodes.get('first')).toBeDefined()
  })

  test('the drill of the documents counts each write once', async () => {
    await cluster.settled()
    const url = cluster.url(await cluster.createDatabase(), 'hosts')
    using drilled = await TypedDrill.start(url)
    await drilled.progress(50)
    await cluster.switchover()
    await drilled.progress(50)
    expect(await drilled.end()).toMatch(/^(\d+) writes acknowledged, \1 counted$/m)
  })

  if (FORM !== 'long') return

  test(`${FAILOVERS} failovers: nothing is lost or doubtful`, { timeout: FAILOVERS * LONGEST_MS }, async () => {
    const kinds = [FAULTS.killed, FAULTS.switchover, FAULTS.crashed, FAULTS.frozen]
    const all: Came[] = []
    for (let done = 0, turn = 0; done < FAILOVERS; turn++) {
      const [fault = FAULTS.killed, ...then] = Array.from(
        { length: Math.min(TOGETHER, FAILOVERS - done) },
        (_, at) => kinds[(done + at) % kinds.length] ?? FAULTS.killed,
      )
      done += 1 + then.length
      const via = WAYS[turn % WAYS.length] ?? 'hosts'
      const came = await drill(cluster, { fault, then, via, rate: RATE, options: PATIENT, turn })
      console.log(`${done}: ${row(came)}`)
      all.push(came)
      holds(came)
    }
    const sum = (of: (came: Came) => number): number => all.reduce((total, came) => total + of(came), 0)
    const told = sum(({ listeners }) => listeners.reduce((total, each) => total + each.told, 0))
    const figures = [
      `${FAILOVERS} failovers at ${Math.round(sum(({ rate }) => rate) / all.length)} writes a second:`,
      `${sum(({ acknowledged }) => acknowledged)} acknowledged, ${sum(({ lost }) => lost)} lost,`,
      `${sum(({ doubtful }) => doubtful)} unknown, ${sum(failed)} of ${sum(({ calls }) => calls)} calls failed,`,
      `subscribers told ${told} times; writers went on after the cluster by ${spread(all.flatMap((came) => resumed(came)))}`,
    ].join(' ')
    console.log(figures)
    shows(figures)
    for (const { name } of kinds)
      for (const via of WAYS) {
        const some = all.filter((came) => came.via === via).flatMap((came) => resumed(came, name))
        if (some.length > 0) console.log(`${name}, ${via}: ${some.length}, ${spread(some)}`)
      }
  })

  test.each([
    ['a move', movedInto],
    ['a copy', copiedInto],
    ['a backup', backedUp],
    ['migrations', migrated],
  ])(
    '%s during a planned change of the primary: done, or UNAVAILABLE and done when tried again',
    async (what, attempt) => {
      await cluster.configure({ synchronous: 'on' })
      const { first, rows } = await attempt(cluster, cluster.url(await cluster.createDatabase(), 'hosts'))
      shows(`${what} during a planned change of the primary: ${first}`)
      console.log(`${what} during a planned change of the primary: ${first}`)
      expect(rows).toBe(3_000)
      expect(['done', 'UNAVAILABLE']).toContain(first)
    },
  )

  test('a store that keeps its connections to the old primary is found to be wrong', async () => {
    using copy = new MistakenSource(LOYAL)
    let found = false
    for (let round = 0; round < 8 && !found; round++) {
      const options = { failoverMs: 20_000, outcomeTokens: true }
      const came = await drill(cluster, {
        fault: FAULTS.frozen,
        via: 'hosts',
        rate: RATE,
        options,
        root: copy.root,
        longestMs: 40_000,
      })
      console.log(row(came))
      found = isStuck(came)
    }
    expect(found).toBe(true)
  })

  test('without tokens, outcomes stay unknown', async () => {
    let unknown = 0
    for (let round = 0; round < 5 && unknown === 0; round++) {
      const came = await struck(FAULTS.killed, 'hosts', { ...PATIENT, outcomeTokens: false })
      unknown = Object.entries(came.errors).reduce((sum, [code, count]) => sum + (isUnknown(code) ? count : 0), 0)
      expect(came.lost).toBe(0)
    }
    expect(unknown).toBeGreaterThan(0)
  })
})

test('the source still holds what the controls replace', () => {
  for (const mistake of [LOYAL, LATE_TOKEN]) new MistakenSource(mistake)[Symbol.dispose]()
})

/** Longer than the old primary stood still. */
const isStuck = ({ stuck, errors, gapMs, clusterGapMs }: Came): boolean =>
  stuck > 0 || Object.keys(errors).length > 0 || gapMs > clusterGapMs + 2_500

const isUnknown = (code: string): boolean => code.startsWith('OUTCOME_UNKNOWN')

const resumed = ({ struck }: Came, of?: string): number[] =>
  struck.flatMap(({ fault, resumedMs }) => (of === undefined || fault === of ? resumedMs : []))
const failed = ({ errors }: Came): number => Object.values(errors).reduce((sum, count) => sum + count, 0)

/** In milliseconds. */
function spread(all: readonly number[]): string {
  const sorted = all.toSorted((a, b) => a - b)
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
  return `${at(0.5)} ms (median), ${at(0.99)} ms (p99), ${at(1)} ms at most`
}

/** The promises with synchronous replication. */
function holds(came: Came): void {
  const { lost, doubtful, refusedButThere, wrongCounters, stuck, deaf, stale, errors, listeners } = came
  const silent = listeners.map(({ missed, ghosts }) => missed + ghosts)
  // Among them ALREADY_EXISTS: a call that was carried out twice.
  const strange = Object.keys(errors).filter((code) => !/^(BUSY|TIMEOUT)/.test(code))
  expect({ lost, doubtful, refusedButThere, wrongCounters, stuck, deaf, stale, silent, strange }).toEqual({
    lost: 0,
    doubtful: 0,
    refusedButThere: 0,
    wrongCounters: [],
    stuck: 0,
    deaf: 0,
    stale: 0,
    silent: [0, 0],
    strange: [],
  })
  expect(came.acknowledged).toBeGreaterThan(0)
}

afterAll(() => {
  if (typeof programs !== 'string' && FORM !== 'long')
    console.log('cluster: some faults. npm run test:faults -- --long cluster takes all of them, and 100 failovers.')
})
