/** Objects that are not what they seem: getters, proxies, odd prototypes, odd names. */
import { describe, expect, test } from 'vitest'
import type { Meshstore } from '../../src/index.ts'
import { sqliteFile as backend } from '../support/backends.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { doneOrNoTrace, expectNoPollution, expectNoTraces, fill, filledStore } from './no-trace.ts'

/** Every place that takes an object, with one that is sound. */
const PLACES: readonly (readonly [
  name: string,
  sound: object,
  use: (store: Meshstore, given: never) => Promise<unknown>,
])[] = [
  ['nodes.create', node('new'), ({ nodes }, given) => nodes.create(given)],
  ['nodes.createMany', node('new'), ({ nodes }, given) => nodes.createMany([given])],
  ['nodes.save', node('a'), ({ nodes }, given) => nodes.save(given)],
  ['nodes.update, patch', { started: false }, ({ nodes }, given) => nodes.update('a', given)],
  ['nodes.update, options', { ifUpdatedAt: new Date(0) }, ({ nodes }, given) => nodes.update('a', {}, given)],
  ['nodes.list', { limit: 3 }, ({ nodes }, given) => nodes.list(given)],
  ['nodes.count', { started: true }, ({ nodes }, given) => nodes.count(given)],
  ['policies.create', policy('new'), ({ policies }, given) => policies.create(given)],
  ['policies.save', policy('a'), ({ policies }, given) => policies.save(given)],
  ['policies.update', { yamlContent: 'a: b' }, ({ policies }, given) => policies.update('a', given)],
  ['policies.list', { limit: 3 }, ({ policies }, given) => policies.list(given)],
  ['pathCache.get', pathKey('a', 'b'), ({ pathCache }, given) => pathCache.get(given)],
  ['pathCache.set, key', pathKey('a', 'b'), ({ pathCache }, given) => pathCache.set(given, bundle('a', 'b'))],
  ['pathCache.set, bundle', bundle('a', 'b'), ({ pathCache }, given) => pathCache.set(pathKey('a', 'b'), given)],
  [
    'pathCache.set, options',
    { ttlSeconds: 5 },
    ({ pathCache }, given) => pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), given),
  ],
  [
    'pathCache.setMany',
    { key: pathKey('a', 'b'), bundle: bundle('a', 'b') },
    ({ pathCache }, given) => pathCache.setMany([given]),
  ],
  ['pathCache.list', { source: 'a' }, ({ pathCache }, given) => pathCache.list(given)],
  ['pathCache.invalidate', { source: 'none' }, ({ pathCache }, given) => pathCache.invalidate(given)],
  ['pathCache.deleteExpired', { batchSize: 5 }, ({ pathCache }, given) => pathCache.deleteExpired(given)],
  ['transaction', { timeoutMs: 500 }, (store, given) => store.transaction(async () => {}, given)],
]

const own = (sound: object, name: string, value: unknown): object =>
  Object.defineProperty({ ...sound }, name, { value, enumerable: true, configurable: true, writable: true })

const throwing = (sound: object, name: string): object =>
  Object.defineProperty({ ...sound }, name, {
    get: () => {
      throw new Error('not for you')
    },
    enumerable: true,
  })

/** An object that any use of throws. */
const untouchable = (sound: object): object => {
  const refuse = (): never => {
    throw new Error('not for you')
  }
  return new Proxy({ ...sound }, { get: refuse, has: refuse, ownKeys: refuse, getPrototypeOf: refuse })
}

const revoked = (sound: object): object => {
  const { proxy, revoke } = Proxy.revocable({ ...sound }, {})
  revoke()
  return proxy
}

// At the door, which is the same for every backend.
describe('objects', () => {
  const filled = filledStore(backend)

  test.each(PLACES)('%s takes what is sound, with and without a prototype', async (_, sound, use) => {
    await using opened = await backend.open()
    await fill(opened)
    const bare = Object.assign(Object.create(null), sound)
    for (const given of [sound, bare]) {
      const outcome = await use(opened.store, given as never).then(
        () => 'done',
        ({ code }) => code,
      )
      // The same node cannot be created twice, and nothing was updated in 1970.
      expect(['done', 'ALREADY_EXISTS', 'CONFLICT']).toContain(outcome)
    }
  })

  test.each(PLACES)('%s refuses a getter that throws', async (_, sound, use) => {
    const opened = filled()
    await expectNoTraces(
      opened,
      Object.keys(sound).map((name) => () => use(opened.store, throwing(sound, name) as never)),
    )
  })

  test.each(PLACES)('%s refuses what cannot be looked at', async (_, sound, use) => {
    const opened = filled()
    await expectNoTraces(
      opened,
      [untouchable(sound), revoked(sound)].map((given) => () => use(opened.store, given as never)),
    )
  })

  test.each(PLACES)('%s refuses names that it does not know, such as __proto__', async (name, sound, use) => {
    await using opened = await backend.open()
    await fill(opened)
    const given = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '', 'x'.repeat(10_000)].map(
      (odd) => own(sound, odd, { polluted: 1 }) as never,
    )
    // A bundle holds what an application puts into it.
    if (name === 'pathCache.set, bundle') for (const each of given) await use(opened.store, each)
    else
      await expectNoTraces(
        opened,
        given.map((each) => () => use(opened.store, each)),
      )
    expectNoPollution()
  })

  test.each(PLACES)('%s refuses what is no object', async (_, sound, use) => {
    const opened = filled()
    const bad: readonly unknown[] = [null, true, 0, Number.NaN, 'text', 1n, Symbol('a'), () => sound, [], [sound]]
    await expectNoTraces(
      opened,
      bad.map((given) => () => use(opened.store, given as never)),
    )
  })

  /** Sound when it is looked at first, and never again. */
  const changing = (sound: object, name: string, later: unknown): never => {
    let asked = 0
    const first: unknown = Reflect.get(sound, name)
    return Object.defineProperty({ ...sound }, name, {
      get: () => (asked++ === 0 ? first : later),
      enumerable: true,
    }) as never
  }

  test('what is checked is what is stored: a node whose getter changes its mind', async () => {
    await using opened = await backend.open()
    await fill(opened)
    const { nodes } = opened.store
    await doneOrNoTrace(opened, () => nodes.save(changing(node('a'), 'interfaces', ['\0'])))
    expect((await nodes.get('a'))?.interfaces).toEqual(node('a').interfaces)
    await doneOrNoTrace(opened, () => nodes.update('a', changing({ protocols: ['aodv'] }, 'protocols', [7])))
    expect(['aodv', 'batman-adv']).toContain((await nodes.get('a'))?.protocols[0])
  })

  test('what is checked is what is stored: a policy whose getter changes its mind', async () => {
    await using opened = await backend.open()
    await fill(opened)
    const { policies } = opened.store
    await doneOrNoTrace(opened, () => policies.save(changing(policy('a'), 'yamlContent', 'a: [')))
    expect(await policies.get('a')).toMatchObject({ ...policy('a'), rulesCount: 2 })
  })

  test.each(['source', 'destination', 'k'])(
    'what is checked is what is stored: a key whose %s changes its mind',
    async (name) => {
      await using opened = await backend.open()
      const { pathCache } = opened.store
      await doneOrNoTrace(opened, () => pathCache.set(changing(pathKey('a', 'b'), name, 0.5), bundle('a', 'b')))
      const stored = { ...pathKey('a', 'b'), cacheKey: 'a:b:3' }
      for (const entry of await pathCache.list()) expect(entry).toMatchObject(stored)
    },
  )

  test.each(['source', 'destination', 'primary'])(
    'what is checked is what is stored: a bundle whose %s changes its mind',
    async (name) => {
      await using opened = await backend.open()
      const { pathCache } = opened.store
      await doneOrNoTrace(opened, () => pathCache.set(pathKey('a', 'b'), changing(bundle('a', 'b'), name, 7)))
      for (const entry of await pathCache.list()) expect(entry.bundle).toEqual(bundle('a', 'b'))
    },
  )

  test('a list that changes while it is read is stored as it was checked, or refused', async () => {
    await using opened = await backend.open()
    await fill(opened)
    const { nodes } = opened.store
    let asked = 0
    const list = new Proxy(['eth0', 'eth1'], {
      get: (target, name, receiver) => (name === '1' && asked++ > 0 ? '\0' : Reflect.get(target, name, receiver)),
    })
    if (await doneOrNoTrace(opened, () => nodes.save(node('a', { interfaces: list })))) {
      expect((await nodes.get('a'))?.interfaces).toEqual(['eth0', 'eth1'])
    }
  })
})
