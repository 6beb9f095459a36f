/** Bundles: plain JSON that comes back as it was given, up to 1 MiB and 100 levels. */
import { expect, test } from 'vitest'
import type { PathBundle } from '../../src/index.ts'
import { bundle, pathKey } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'
import { expectNoPollution, expectNoTrace, expectNoTraces, filledStore } from './no-trace.ts'

const KEY = pathKey('a', 'b')
const withExtra = (extra: unknown): PathBundle => Object.assign(bundle('a', 'b'), { extra })

function nested(levels: number, wrap: (inner: unknown) => unknown, innermost: unknown = 1): unknown {
  let value = innermost
  for (let level = 0; level < levels; level++) value = wrap(value)
  return value
}
const inList = (inner: unknown): unknown => [inner]
const inObject = (inner: unknown): unknown => ({ a: inner })

class Point {
  x = 1
}
const circular: Record<string, unknown> = {}
circular.self = circular
const circularList: unknown[] = []
circularList.push(circularList)
// A list that would be written as something else.
const pretender: unknown[] & { toJSON?: () => unknown } = [1]
pretender.toJSON = () => [2]

const UNSTORABLE: Readonly<Record<string, unknown>> = {
  NaN: Number.NaN,
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
  'a bigint': 1n,
  'a symbol': Symbol('a'),
  'a function': () => 1,
  'a Date': new Date(0),
  'an invalid Date': new Date(Number.NaN),
  'a Map': new Map([['a', 1]]),
  'a Set': new Set([1]),
  'a regular expression': /a/,
  'a Buffer': Buffer.from('a'),
  'a typed array': new Float64Array(2),
  'an Error': new Error('a'),
  'a Promise': Promise.resolve(1),
  'a boxed number': Object(1),
  'a boxed text': Object('a'),
  'an instance of a class': new Point(),
  'an object with another prototype': Object.create({ a: 1 }),
  'an object that says itself what it is as JSON': { toJSON: () => 'else' },
  'a list that says itself what it is as JSON': pretender,
  'a property under a symbol': { [Symbol('hidden')]: 1 },
  'a circle': circular,
  'a circle of lists': circularList,
  'a text with NUL': 'a\0b',
  'a text with half of a surrogate pair': 'a\ud800b',
  'a name with NUL': { 'a\0': 1 },
  'a name with half of a surrogate pair': { '\udfff': 1 },
  'undefined in a list': [1, undefined],
  'a hole in a list': new Array(3),
  '100 levels of lists below the bundle': nested(100, inList),
  '100 levels of objects below the bundle': nested(100, inObject),
  '100,000 levels': nested(100_000, inList),
  'what is bad deep inside': nested(50, inObject, Number.NaN),
  'more than 1 MiB': 'x'.repeat(1_048_577),
  'more than 1 MiB in UTF-8': 'ä'.repeat(600_000),
  'more than 1 MiB of small values': Array.from({ length: 600_000 }, () => 1),
  'more than 1 MiB once it is escaped': '"'.repeat(600_000),
}

eachBackend('bundles', (backend) => {
  const filled = filledStore(backend)

  test.each(Object.entries(UNSTORABLE))('%s is refused, and nothing changes', async (_, extra) => {
    const opened = filled()
    const { pathCache } = opened.store
    await expectNoTraces(opened, [
      () => pathCache.set(KEY, withExtra(extra)),
      () => pathCache.setMany([{ key: KEY, bundle: withExtra(extra) }]),
      () => pathCache.getOrCompute(pathKey('a', 'new'), () => withExtra(extra)),
    ])
  })

  test('a bundle may have 100 levels, and no more', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    // The bundle itself is the first level.
    for (const wrap of [inList, inObject]) {
      const deepest = withExtra(nested(99, wrap))
      await pathCache.set(KEY, deepest)
      expect(await pathCache.get(KEY)).toEqual(deepest)
    }
  })

  test('a bundle may have 1 MiB of UTF-8, and not a byte more', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const room = 1_048_576 - Buffer.byteLength(JSON.stringify(withExtra('')))
    const largest = withExtra(`ä${'x'.repeat(room - 2)}`)
    expect(Buffer.byteLength(JSON.stringify(largest))).toBe(1_048_576)
    await pathCache.set(KEY, largest)
    expect(await pathCache.get(KEY)).toEqual(largest)
    await expectNoTrace(opened, () => pathCache.set(KEY, withExtra('x'.repeat(room + 1))))
  })

  test('a small object that would be written a million times is refused before it is looked at as often', async () => {
    await using opened = await backend.open()
    let looks = 0
    const counting = new Proxy([1], {
      get: (target, name, receiver) => {
        looks++
        if (looks > 2_000_000) throw new Error('It was looked at two million times.')
        return Reflect.get(target, name, receiver)
      },
    })
    // Every level holds the one below ten times: 10^12 in all.
    const laughs = nested(12, (inner) => Array.from({ length: 10 }, () => inner), counting)
    await expectNoTrace(opened, () => opened.store.pathCache.set(KEY, withExtra(laughs)))
  })

  test('an object that is named twice is written twice', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const path = { nodes: ['a', 'b'] }
    const given = { ...bundle('a', 'b'), primary: [path, path], alternatives: [path] }
    await pathCache.set(KEY, given)
    expect(await pathCache.get(KEY)).toEqual(given)
  })

  test('names like __proto__ come back as own properties, and pollute nothing', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const text = `{"source":"a","destination":"b","primary":[{"nodes":["a"],"__proto__":{"polluted":1}}],"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"prototype":{"polluted":1},"hasOwnProperty":1,"toJSON":1,"valueOf":null}`
    await pathCache.set(KEY, JSON.parse(text))
    const read = await pathCache.get(KEY)
    expect(JSON.stringify(read)).toBe(text)
    expect(Object.hasOwn(read ?? {}, '__proto__')).toBe(true)
    expect((await pathCache.list())[0]?.bundle).toEqual(read)
    expectNoPollution()
  })

  test('an object without a prototype is plain', async () => {
    await using opened = await backend.open()
    const { pathCache } = opened.store
    const given = Object.assign(Object.create(null), withExtra(Object.assign(Object.create(null), { a: 1 })))
    await pathCache.set(KEY, given)
    expect(await pathCache.get(KEY)).toEqual(withExtra({ a: 1 }))
  })

  test('a frozen bundle is stored, and stays as it is', async () => {
    await using opened = await backend.open()
    const given = Object.freeze(bundle('a', 'b'))
    await opened.store.pathCache.set(KEY, given)
    expect(await opened.store.pathCache.get(KEY)).toEqual(given)
  })
})
