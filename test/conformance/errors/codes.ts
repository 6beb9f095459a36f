import { expect, test } from 'vitest'
import { StorageError, type StorageErrorCode } from '../../../src/index.ts'
import { all, expectCode, expectRefused } from '../../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../../support/samples.ts'
import type { Setting, Stage } from '../../support/settings.ts'

const RETRYABLE: readonly StorageErrorCode[] = ['BUSY', 'TIMEOUT', 'UNAVAILABLE']

type Failing = readonly [code: StorageErrorCode, act: (stage: Stage) => Promise<unknown>]
const FAILING: readonly Failing[] = [
  ['VALIDATION', ({ nodes }) => nodes.get('')],
  ['VALIDATION', ({ policies }) => policies.get('a\0')],
  ['VALIDATION', ({ policies }) => policies.delete(7 as never)],
  ['VALIDATION', ({ pathCache }) => pathCache.get(pathKey('a', 'b', 0))],
  ['VALIDATION', ({ nodes }) => nodes.createMany('nodes' as never)],
  ['VALIDATION', ({ nodes }) => nodes.create(undefined as never)],
  ['VALIDATION', ({ nodes }) => nodes.update('a', null as never)],
  ['VALIDATION', ({ nodes }) => nodes.list(null as never)],
  ['ALREADY_EXISTS', ({ nodes }) => nodes.create(node('there'))],
  ['NOT_FOUND', ({ nodes }) => nodes.update('missing', {})],
  ['NOT_FOUND', ({ policies }) => policies.update('missing', {})],
  ['CONFLICT', ({ nodes }) => nodes.update('there', {}, { ifUpdatedAt: new Date(0) })],
]

const REFUSED_READS: readonly Failing[1][] = [
  ({ nodes }) => nodes.get(''),
  ({ nodes }) => nodes.getMany(['']),
  ({ nodes }) => nodes.getMany('a' as never),
  ({ nodes }) => nodes.getMany(new Array(10_001).fill('a')),
  ({ nodes }) => nodes.list({ limit: 0 }),
  ({ nodes }) => nodes.list({ orderBy: 'updatedAt', after: 'a' as never }),
  ({ nodes }) => all(nodes.iterate({ protocol: '' })),
  ({ nodes }) => nodes.count({ started: 1 as never }),
  ({ policies }) => policies.get(''),
  ({ policies }) => policies.getMany(['']),
  ({ policies }) => policies.list({ limit: 0 }),
  ({ policies }) => all(policies.iterate({ prefix: '' })),
  ({ policies }) => policies.count({ prefix: '' }),
  ({ pathCache }) => pathCache.get(pathKey('a', 'b', 0)),
  ({ pathCache }) => pathCache.getEntry(pathKey('a', 'b', 0)),
  ({ pathCache }) => pathCache.list({ source: '' }),
  ({ pathCache }) => all(pathCache.iterate({ source: '' })),
  ({ pathCache }) => pathCache.count({ source: '' }),
]
const REFUSED_WRITES: readonly Failing[1][] = [
  ({ nodes }) => nodes.create(node('')),
  ({ nodes }) => nodes.update('', {}),
  ({ nodes }) => nodes.delete(''),
  ({ nodes }) => nodes.updateMany({ started: 1 as never }, {}),
  ({ nodes }) => nodes.deleteMany({}),
  ({ policies }) => policies.update('', {}),
  ({ policies }) => policies.deleteMany({ prefix: '' }),
  ({ pathCache }) => pathCache.set(pathKey('a', 'b', 0), bundle('a', 'b')),
  ({ pathCache }) => pathCache.delete(pathKey('a', 'b', 0)),
  ({ pathCache }) => pathCache.invalidate({ source: '' }),
]

export function codes({ run }: Setting): void {
  test.each([
    ...REFUSED_READS.map((call) => ['Nothing was read. Correct the value.', call] as const),
    ...REFUSED_WRITES.map((call) => ['Nothing was written. Correct the value.', call] as const),
  ])('what is refused by its value says what did not happen: %s %s', (nothing, call) =>
    run(async (stage) => {
      expect((await expectCode(call(stage), 'VALIDATION')).message).toContain(nothing)
    }),
  )

  test.each(FAILING)('an error is a StorageError with a code, whether to retry, and issues: %s', (code, act) =>
    run(async (stage) => {
      await stage.nodes.create(node('there'))
      const error = await expectCode(act(stage), code)
      expect(error).toBeInstanceOf(StorageError)
      expect(error).toBeInstanceOf(Error)
      expect(error.name).toBe('StorageError')
      expect(error.message.length).toBeGreaterThan(10)
      expect(error.retryable).toBe(RETRYABLE.includes(code))
      expect(error.issues.length > 0).toBe(code === 'VALIDATION')
    }),
  )

  test('issues say where: every one of them', () =>
    run(async ({ nodes, policies, pathCache }) => {
      await expectRefused(
        nodes.create(node('a', { interfaces: ['a', '', 'c', 'd\0'] })),
        'interfaces[1]',
        'interfaces[3]',
      )
      await expectRefused(nodes.create({ nodeId: 'a' } as never), 'interfaces', 'protocols')
      await expectRefused(nodes.create({ ...node('a'), weight: 1, ' odd ': 2 } as never), 'weight', ' odd ')
      await expectRefused(nodes.createMany([node('a'), null as never]), '[1]')
      await expectRefused(nodes.createMany(undefined as never), '')
      await expectRefused(
        nodes.update('a', { protocols: [7 as never], started: 1 as never }),
        'protocols[0]',
        'started',
      )
      await expectRefused(nodes.get(''), 'nodeId')
      await expectRefused(policies.createMany([policy(''), policy('b')]), '[0].policyId')
      await expectRefused(policies.update('a', { yamlContent: 5 as never }), 'yamlContent')
      await expectRefused(pathCache.get({ ...pathKey('', 'b'), k: 1.5 }), 'source', 'k')
      await expectRefused(pathCache.set(pathKey('a', 'b'), { ...bundle('a', 'b'), source: '' }), 'bundle.source')
    }))

  test('the message spells out a few issues, and says how many more there are', () =>
    run(async ({ nodes }) => {
      const error = await expectCode(
        nodes.create(node('a', { interfaces: Array.from({ length: 50 }, () => '') })),
        'VALIDATION',
      )
      expect(error.issues).toHaveLength(50)
      expect(error.message).toContain('interfaces[0]')
      expect(error.message).toContain('47 more')
    }))
}
