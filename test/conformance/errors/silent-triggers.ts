import { expect, test } from 'vitest'
import type { StorageError } from '../../../src/index.ts'
import { expectCode } from '../../support/expectations.ts'
import { manyNodes, node, policy } from '../../support/samples.ts'
import type { Setting, Stage, StageOptions } from '../../support/settings.ts'

/** More rows than run within one statement. */
const MANY = 120
/** More rows than run within one piece. */
const LARGE = 700

const DROPPING: StageOptions = {
  before: async ({ store, other }) => {
    await store.nodes.create(node('there'))
    await store.policies.create(policy('there'))
    await other.dropRows('nodes', 'node_id')
    await other.dropRows('policies', 'policy_id')
  },
}

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'done',
    ({ code }: StorageError) => code,
  )

type Creating = readonly [name: string, create: (stage: Stage, id: string) => Promise<unknown>]
const CREATING: readonly Creating[] = [
  ['create of a node', ({ nodes }, id) => nodes.create(node(id))],
  ['createMany of nodes', ({ nodes }, id) => nodes.createMany([...manyNodes(MANY), node(id)])],
  ['createMany of many nodes', ({ nodes }, id) => nodes.createMany([node(id), ...manyNodes(LARGE)])],
  ['create of a policy', ({ policies }, id) => policies.create(policy(id))],
  ['createMany of policies', ({ policies }, id) => policies.createMany([policy('a'), policy(id), policy('b')])],
]

export function silentTriggers({ run }: Setting): void {
  test.each(CREATING)('%s that a trigger of another program drops in silence is a CONFLICT', (_, create) =>
    run(async (stage) => {
      const { message } = await expectCode(create(stage, 'dropped'), 'CONFLICT')
      expect(message).toMatch(/A trigger in the database kept the (node|policy) "dropped" from being saved/)
      // The control: a key that is there is told apart.
      await expectCode(create(stage, 'there'), 'ALREADY_EXISTS')
      expect(await codeOf(create(stage, 'new'))).toBe('done')
    }, DROPPING),
  )

  test('a row that a trigger drops fails its own call alone, in the order of the calls', () =>
    run(async ({ nodes }) => {
      const calls = [
        ...manyNodes(MANY).map((each) => nodes.create(each)),
        nodes.create(node('dropped')),
        nodes.create(node('there')),
        nodes.delete('there'),
        nodes.create(node('there')),
      ]
      const codes = await Promise.all(calls.map(codeOf))
      expect(codes.slice(MANY)).toEqual(['CONFLICT', 'ALREADY_EXISTS', 'done', 'done'])
      expect(new Set(codes.slice(0, MANY))).toEqual(new Set(['done']))
      const besideAnUpdate = [nodes.create(node('dropped')), nodes.update('there', {}), nodes.create(node('there'))]
      expect(await Promise.all(besideAnUpdate.map(codeOf))).toEqual(['CONFLICT', 'done', 'ALREADY_EXISTS'])
      expect(await nodes.get('dropped')).toBeUndefined()
    }, DROPPING))

  test.each(['update', 'recordRoutes', 'save'] as const)(
    'a trigger of another program that drops %s of a node in silence is a CONFLICT, and no endless attempt',
    (method) =>
      run(
        async ({ nodes }) => {
          const before = await nodes.get('a')
          const attempts = {
            update: () => nodes.update('a', { started: true }),
            recordRoutes: () => nodes.recordRoutes('a'),
            save: () => nodes.save(node('a', { started: true })),
          }
          await expectCode(attempts[method](), 'CONFLICT')
          expect(await nodes.get('a')).toEqual(before)
        },
        {
          before: async ({ store, other }) => {
            await store.nodes.create(node('a'))
            await other.dropUpdates('nodes')
          },
        },
      ),
  )

  test.each(['update', 'save'] as const)('the same of a policy: %s', (method) =>
    run(
      async ({ policies }) => {
        const before = await policies.get('a')
        const attempts = { update: () => policies.update('a', {}), save: () => policies.save(policy('a', '')) }
        await expectCode(attempts[method](), 'CONFLICT')
        expect(await policies.get('a')).toEqual(before)
      },
      {
        before: async ({ store, other }) => {
          await store.policies.create(policy('a'))
          await other.dropUpdates('policies')
        },
      },
    ),
  )
}
