/** However much there is to write, the event loop runs on meanwhile: timers, sockets and readers have their turn. */
import { tracingChannel } from 'node:diagnostics_channel'
import { expect, test } from 'vitest'
import { openStorage, type StatementEvent } from '../../src/index.ts'
import { temporaryFolder } from '../support/folders.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { Turns } from './support/turns.ts'

const MANY = 100_000

test('during createMany() of 100,000 nodes, which is one transaction', async () => {
  using folder = temporaryFolder()
  await using store = await openStorage(folder.file('mesh.db'))
  await store.nodes.create(node('first'))
  const nodes = Array.from({ length: MANY }, (_, index) => node(`n${index}`))
  let reads = 0
  const seen = new Set<number>()
  {
    using turns = new Turns()
    let turnsBeforeWriting: number | undefined
    const statements = tracingChannel('meshstore:statement')
    const onStatement = (event: unknown): void => {
      if ((event as StatementEvent).name.startsWith('nodes.create')) turnsBeforeWriting ??= turns.count
    }
    statements.start.subscribe(onStatement)
    let writing = true
    const created = store.nodes.createMany(nodes).finally(() => {
      writing = false
    })
    while (writing) {
      seen.add(await store.nodes.count())
      reads++
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(await created).toHaveLength(MANY)
    console.log(
      `createMany(${MANY}): ${turns.count} turns of the event loop, the longest ${turns.longestMs.toFixed(1)} ms`,
    )
    statements.start.unsubscribe(onStatement)
    // It is checked in slices, and written in slices.
    expect(turnsBeforeWriting).toBeGreaterThanOrEqual(10)
    expect(turns.count - (turnsBeforeWriting ?? 0)).toBeGreaterThanOrEqual(100)
  }
  expect(reads).toBeGreaterThan(100)
  // None of it, or all.
  expect([...seen].filter((count) => count !== 1 && count !== MANY + 1)).toEqual([])
  expect(await store.nodes.count()).toBe(MANY + 1)
})

test('during 100,000 single writes', async () => {
  using folder = temporaryFolder()
  await using store = await openStorage(folder.file('mesh.db'))
  await store.nodes.create(node('counted'))
  using commits = record('commit', 'end')
  const writes = Array.from({ length: MANY }, () => store.nodes.recordRoutes('counted'))
  using turns = new Turns()
  await Promise.all(writes)
  console.log(`${MANY} writes: ${turns.count} turns of the event loop, the longest ${turns.longestMs.toFixed(1)} ms`)
  expect(commits.events.length).toBeGreaterThanOrEqual(MANY / 1_000)
  expect(turns.count).toBeGreaterThanOrEqual(commits.events.length - 1)
  expect(await store.nodes.get('counted')).toMatchObject({ routesDiscovered: MANY })
})

test('while rows are iterated, however fast they come', async () => {
  using folder = temporaryFolder()
  await using store = await openStorage(folder.file('mesh.db'))
  await store.nodes.createMany(
    Array.from({ length: MANY }, (_, index) => node(`n${index}`, { started: index % 2 === 0 })),
  )
  for (const filter of [{}, { started: true }, { protocol: 'batman-adv' }]) {
    using turns = new Turns()
    let rows = 0
    for await (const _ of store.nodes.iterate(filter)) rows++
    console.log(`iterate(): ${rows} rows, ${turns.count} turns, the longest ${turns.longestMs.toFixed(1)} ms`)
    expect(rows).toBe(filter.started ? MANY / 2 : MANY)
    // By time: a slow machine has more of them.
    expect(turns.count).toBeGreaterThan(3)
  }
})

test('while cached paths of a mebibyte are iterated', async () => {
  using folder = temporaryFolder()
  await using store = await openStorage(folder.file('mesh.db'))
  const large = { ...bundle('a', 'b'), padding: 'x'.repeat(900_000) }
  for (let k = 1; k <= 60; k++) await store.pathCache.set(pathKey('a', 'b', k), large)
  using turns = new Turns()
  let rows = 0
  for await (const _ of store.pathCache.iterate()) rows++
  console.log(`iterate(): ${rows} large rows, ${turns.count} turns, the longest ${turns.longestMs.toFixed(1)} ms`)
  expect(rows).toBe(60)
  expect(turns.count).toBeGreaterThan(3)
})
