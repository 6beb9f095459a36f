/** Numbers, times, flags and lists: wrong types and values at the edges. */
import { expect, test } from 'vitest'
import type { NewMeshNode } from '../../src/index.ts'
import { node } from '../support/samples.ts'
import { eachBackend } from '../support/settings.ts'
import { expectNoTrace, expectNoTraces, fill, filledStore } from './no-trace.ts'

const NO_FLAGS: readonly unknown[] = [null, 0, 1, 'true', '', {}, [], Object(true), Number.NaN]
const NO_INTEGERS: readonly unknown[] = [
  null,
  0.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 53,
  '1',
  1n,
  true,
  [1],
  {},
]
const NO_TIMES: readonly unknown[] = [
  null,
  0,
  Date.now(),
  '2026-01-01',
  new Date(Number.NaN),
  {},
  true,
  { getTime: () => 0 },
  Object.create(Date.prototype),
]
const NO_LISTS: readonly unknown[] = [
  undefined,
  null,
  'eth0',
  7,
  {},
  { length: 1, 0: 'eth0' },
  new Set(['eth0']),
  ['eth0', undefined],
  [null],
  [7],
  [['eth0']],
  new Array(3),
  Object.assign(new Array(3), { 0: 'a', 2: 'b' }),
  [''],
]

const FIELDS: readonly (readonly [field: keyof NewMeshNode, bad: readonly unknown[]])[] = [
  ['started', NO_FLAGS],
  ['routesDiscovered', NO_INTEGERS],
  ['createdAt', NO_TIMES],
  ['updatedAt', NO_TIMES],
  ['interfaces', NO_LISTS],
  ['protocols', NO_LISTS],
]

eachBackend('a node', (backend) => {
  const filled = filledStore(backend)

  test.each(FIELDS)('with a wrong %s is refused, whatever is done with it', async (field, bad) => {
    const opened = filled()
    const { nodes } = opened.store
    const given = bad.map((value) => ({ ...node('a'), [field]: value }) as NewMeshNode)
    await expectNoTraces(
      opened,
      given.flatMap((each) => [() => nodes.create({ ...each, nodeId: 'new' }), () => nodes.save(each)]),
    )
    const errors = await expectNoTraces(
      opened,
      given.map((each) => () => nodes.saveMany([node('a'), each])),
    )
    for (const { path } of errors.flatMap(({ issues }) => issues))
      expect(path.startsWith(`[1].${field}`), path).toBe(true)
    await expectNoTraces(
      opened,
      bad.filter((value) => value !== undefined).map((value) => () => nodes.update('a', { [field]: value })),
    )
  })

  test('takes the edges of what is allowed', async () => {
    await using opened = await backend.open()
    const { nodes } = opened.store
    const edges: readonly Partial<NewMeshNode>[] = [
      { routesDiscovered: 2_147_483_647 },
      { routesDiscovered: -2_147_483_648 },
      { createdAt: new Date(0) },
      { createdAt: new Date('-000001-01-01T00:00:00.001Z') },
      { interfaces: Array.from({ length: 1_000 }, (_, index) => `if${index}`) },
      { protocols: ['same', 'same'] },
    ]
    for (const edge of edges) {
      const saved = await nodes.create(node('a', edge))
      expect(await nodes.get('a')).toEqual(saved)
      expect(JSON.stringify(saved)).toContain(JSON.stringify(edge).slice(1, -1))
      await nodes.delete('a')
    }
  })

  test('has at most 1,000 interfaces and protocols', async () => {
    await using opened = await backend.open()
    await fill(opened)
    const many = Array.from({ length: 1_001 }, (_, index) => `if${index}`)
    for (const field of ['interfaces', 'protocols'] as const) {
      const error = await expectNoTrace(opened, () => opened.store.nodes.save(node('a', { [field]: many })))
      expect(error.issues.map(({ path }) => path)).toEqual([field])
    }
  })

  test('an update of nothing but undefined is an update of nothing', async () => {
    await using opened = await backend.open()
    await fill(opened)
    const before = await opened.store.nodes.get('a')
    const updated = await opened.store.nodes.update('a', { interfaces: undefined, started: undefined })
    expect({ ...updated, updatedAt: before?.updatedAt }).toEqual(before)
  })
})
