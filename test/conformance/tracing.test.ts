/** Events of the tracing channels: names, counts and times; no ids, no values. */
import { tracingChannel } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import type { Meshstore } from '../../src/index.ts'
import { dump } from '../support/content.ts'
import { expectCode } from '../support/expectations.ts'
import { gate } from '../support/gate.ts'
import { bundle, manyNodes, node, pathKey, policy } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'
import { record, recordStatements } from '../support/tracing.ts'

const ID = 'id-canary'
const VALUE = 'value-canary'

const secretBundle = () => ({ ...bundle(ID, ID), primary: [{ nodes: [ID], path_id: VALUE }] })

/** Does a bit of everything, with a canary as every id and in every value. */
async function everything(store: Meshstore): Promise<void> {
  await store.nodes.create(node(ID, { interfaces: [VALUE], protocols: [VALUE] }))
  await store.nodes.createMany([node(`${ID} 2`), node(`${ID} 3`)])
  await store.nodes.update(ID, { protocols: [VALUE, VALUE] })
  await store.nodes.save(node(ID, { interfaces: [VALUE] }))
  await store.nodes.list({ protocol: VALUE })
  await store.policies.create(policy(ID, `rules: [${VALUE}]`))
  await store.policies.update(ID, { yamlContent: `a: ${VALUE}` })
  await store.pathCache.set(pathKey(ID, ID), secretBundle())
  await store.pathCache.get(pathKey(ID, ID))
  await store.pathCache.getOrCompute(pathKey(ID, ID), secretBundle)
  await store.pathCache.getOrCompute(pathKey(ID, 'b'), secretBundle)
  await dump(store)
  await store.transaction(async (tx) => {
    await tx.nodes.recordRoutes(ID)
    await dump(tx)
    await tx.transaction((nested) => nested.nodes.delete(`${ID} 2`))
    return tx.nodes.get(ID)
  })
  await store.transaction(dump, { readOnly: true })
  await expectCode(store.nodes.create(node(ID)), 'ALREADY_EXISTS')
  await expectCode(
    store.transaction((tx) => tx.nodes.create(node(ID, { protocols: [VALUE] }))),
    'ALREADY_EXISTS',
  )
  await expectCode(store.nodes.update(`${ID} 9`, {}), 'NOT_FOUND')
  await expectCode(
    store.pathCache.getOrCompute(pathKey(ID, 'c'), () => ({ ...secretBundle(), at: new Date() })),
    'VALIDATION',
  )
}

eachBackend('tracing', (backend) => {
  test('a statement tells its name, its milliseconds, and how many rows', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.createMany(manyNodes(5))
    using recorded = recordStatements()
    await store.nodes.list({ limit: 3, started: false })
    await store.nodes.get('n-0001')
    await store.nodes.get('missing')
    await store.nodes.update('n-0001', { started: true, interfaces: [] })
    await store.nodes.delete('n-0001')
    await store.nodes.delete('n-0001')
    const told = recorded.events.map(({ name, rows }) => [name, rows])
    expect(told).toEqual([
      ['nodes.list:started', 3],
      ['nodes.get', 1],
      ['nodes.get', 0],
      ['nodes.update:interfaces,started', 1],
      ['nodes.delete', 1],
      ['nodes.delete', 0],
    ])
    for (const { milliseconds } of recorded.events) expect(milliseconds).toBeGreaterThan(0)
  })

  test('a statement and a commit are over with the event that is the last of all channels', async () => {
    await using opened = await backend.open()
    const { store } = opened
    for (const channel of ['statement', 'commit'] as const) {
      using ended = record(channel, 'end')
      using over = record(channel, 'asyncEnd')
      await store.nodes.create(node(channel))
      await expectCode(store.nodes.create(node(channel)), 'ALREADY_EXISTS')
      expect(over.events.length).toBeGreaterThan(0)
      expect(over.events).toEqual(ended.events)
    }
  })

  test('a transaction tells how it ended, and how often it was tried', async () => {
    await using opened = await backend.open()
    const { store } = opened
    using recorded = record('transaction', 'asyncEnd')
    await store.transaction((tx) => tx.nodes.create(node('a')))
    await store.transaction((tx) => tx.nodes.count(), { readOnly: true })
    const failure = new Error('undo')
    await expect(
      store.transaction(async () => {
        throw failure
      }),
    ).rejects.toBe(failure)
    expect(recorded.events).toMatchObject([
      { readOnly: false, attempts: 1 },
      { readOnly: true, attempts: 1 },
      { readOnly: false, attempts: 1, error: failure },
    ])
    for (const { milliseconds } of recorded.events) expect(milliseconds).toBeGreaterThan(0)
    expect(recorded.events[0]).not.toHaveProperty('error')
  })

  test('a commit tells how many writes it holds: those that wait together share one', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.create(node('warm'))
    using recorded = record('commit', 'end')
    await Promise.all(manyNodes(50).map((each) => store.nodes.create(each)))
    const batches = recorded.events.map(({ batch }) => batch)
    expect(batches.reduce((sum, batch) => sum + batch, 0)).toBe(50)
    expect(batches.length).toBeLessThan(10)
    for (const { milliseconds } of recorded.events) expect(milliseconds).toBeGreaterThan(0)
  })

  test('getOrCompute tells where the bundle came from', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const key = pathKey('a', 'b')
    using recorded = record('cache', 'asyncEnd')
    const begun = gate()
    const goOn = gate()
    const compute = async () => {
      begun.open()
      await goOn.opened
      return bundle('a', 'b')
    }
    const first = pathCache.getOrCompute(key, compute)
    const second = pathCache.getOrCompute(key, compute)
    await begun.opened
    goOn.open()
    await Promise.all([first, second])
    await pathCache.getOrCompute(key, compute)
    const failure = new Error('no path')
    const failing = pathCache.getOrCompute(pathKey('a', 'c'), () => {
      throw failure
    })
    await expect(failing).rejects.toBe(failure)
    const origins = recorded.events.map(({ origin }) => origin)
    expect(origins.slice(0, 2).toSorted()).toEqual(['computed', 'joined'])
    expect(origins.slice(2)).toEqual(['hit', 'computed'])
    expect(recorded.events[3]?.error).toBe(failure)
    for (const { milliseconds } of recorded.events) expect(milliseconds).toBeGreaterThan(0)
  })

  test('no value is in an event at any moment of it, and no id but in the message of an error', async () => {
    await using opened = await backend.open()
    const events: string[] = []
    const withoutErrors: string[] = []
    const listener = (event: unknown): void => {
      events.push(inspect(event, { depth: 20, showHidden: true }))
      const copy: object = { ...(event as object), error: undefined }
      withoutErrors.push(inspect(copy, { depth: 20, showHidden: true }))
    }
    const channels = ['statement', 'transaction', 'commit', 'cache'].map((name) => tracingChannel(`meshstore:${name}`))
    const moments = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const
    for (const channel of channels) for (const moment of moments) channel[moment].subscribe(listener)
    try {
      await everything(opened.store)
    } finally {
      for (const channel of channels) for (const moment of moments) channel[moment].unsubscribe(listener)
    }
    expect(events.length).toBeGreaterThan(100)
    expect(events.filter((text) => text.includes(VALUE))).toEqual([])
    expect(withoutErrors.filter((text) => text.includes(ID))).toEqual([])
  })

  test('what listens changes nothing of what a caller gets', async () => {
    await using plain = await backend.open()
    await using traced = await backend.open()
    await everything(plain.store)
    const names: string[] = []
    {
      using recorded = recordStatements()
      await everything(traced.store)
      names.push(...recorded.events.map(({ name }) => name))
    }
    const count = names.length
    await traced.store.nodes.count()
    expect(names.length, 'nobody listens any more').toBe(count)
    const idsOf = async ({ store }: typeof plain) => (await dump(store)).nodes.map(({ nodeId }) => nodeId)
    expect(await idsOf(traced)).toEqual(await idsOf(plain))
  })

  test('getOrCompute tells why a bundle was not stored', async () => {
    await using opened = await backend.open()
    await opened.other.refuseRows('path_cache', 'not here')
    using recorded = record('cache', 'asyncEnd')
    await opened.store.pathCache.getOrCompute(pathKey('a', 'b'), () => bundle('a', 'b'))
    expect(recorded.events).toMatchObject([{ origin: 'computed', notStored: 'CONFLICT' }])
  })
})
