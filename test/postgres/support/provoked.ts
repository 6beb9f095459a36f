/** Everything that goes wrong with values that nobody else may see, as far as a dialect need not be known. */
import type { Meshstore, NewMeshNode, NewPolicy, PathBundle, Repositories } from '../../../src/index.ts'
import { bundle, node, pathKey, policy } from '../../support/samples.ts'
import { PASSWORD, VALUE } from './canaries.ts'

export const secretNode = (nodeId: string, more: Partial<NewMeshNode> = {}): NewMeshNode =>
  node(nodeId, { interfaces: [VALUE], protocols: ['batman-adv', VALUE], ...more })
export const secretText = `rules:\n  - { id: ${VALUE}, effect: DENY, subject: ${PASSWORD} }\n`
export const secretPolicy = (policyId: string): NewPolicy => policy(policyId, secretText)
export const secretBundle: PathBundle = {
  ...bundle('a', 'b'),
  primary: [{ nodes: ['a', 'b'], path_id: VALUE }],
}

type Provocation = (on: Repositories) => Promise<unknown>

/** Writes of the row `id`, which is there already for those that change one. */
export const writesOf = (id: string): readonly Provocation[] => [
  ({ nodes }) => nodes.create(secretNode(id)),
  ({ nodes }) => nodes.createMany([secretNode(`${id}-1`), secretNode(id)]),
  ({ nodes }) => nodes.save(secretNode(id)),
  ({ nodes }) => nodes.saveMany([secretNode(id), secretNode(`${id}-2`)]),
  ({ nodes }) => nodes.update(id, { interfaces: [VALUE] }),
  ({ policies }) => policies.create(secretPolicy(id)),
  ({ policies }) => policies.createMany([secretPolicy(`${id}-1`), secretPolicy(id)]),
  ({ policies }) => policies.save(secretPolicy(id)),
  ({ policies }) => policies.update(id, { yamlContent: secretText }),
  ({ pathCache }) => pathCache.set(pathKey(id, 'b'), secretBundle),
  ({ pathCache }) => pathCache.setMany([{ key: pathKey(id, 'b'), bundle: secretBundle }]),
]

export const readsOf = (id: string): readonly Provocation[] => [
  ({ nodes }) => nodes.get(id),
  ({ nodes }) => nodes.getMany([id]),
  ({ nodes }) => nodes.list(),
  ({ policies }) => policies.get(id),
  ({ policies }) => policies.list(),
  ({ pathCache }) => pathCache.get(pathKey(id, 'b')),
  ({ pathCache }) => pathCache.list(),
]

/** Refused at the door. */
export const REFUSED: readonly Provocation[] = [
  ({ nodes }) => nodes.create(secretNode('n', { interfaces: [`${VALUE}\0`] })),
  ({ nodes }) => nodes.save(secretNode('n', { protocols: [VALUE.repeat(30)] })),
  ({ nodes }) => nodes.update('n', { started: VALUE as never }),
  ({ nodes }) => nodes.createMany([secretNode('n', { createdAt: VALUE as never })]),
  ({ nodes }) => nodes.list({ protocol: VALUE.repeat(30) }),
  ({ policies }) => policies.create(policy('p', `${VALUE}: [${VALUE}`)),
  ({ policies }) => policies.update('p', { yamlContent: `a: *${VALUE}` }),
  ({ policies }) => policies.save(policy('p', `${VALUE}\0`)),
  ({ pathCache }) => pathCache.set(pathKey('a', 'b'), { ...secretBundle, x: 1n } as never),
  ({ pathCache }) => pathCache.set(pathKey('a', 'b'), VALUE as never),
  ({ pathCache }) => pathCache.set(pathKey('a', 'b'), secretBundle, { ttlSeconds: VALUE as never }),
]

/** Calls that end a transaction, or refuse to begin one. */
export const transactionsOf = (store: Meshstore): readonly (() => Promise<unknown>)[] => [
  () => store.transaction((tx) => tx.nodes.create(secretNode('n')), { timeoutMs: VALUE as never }),
  () => store.transaction((tx) => tx.nodes.create(secretNode('n')), { readOnly: true }),
  () =>
    store.transaction(
      async (tx) => {
        await tx.nodes.create(secretNode('late'))
        await new Promise((resolve) => setTimeout(resolve, 60_000).unref())
      },
      { timeoutMs: 20 },
    ),
  () => store.transaction(() => store.nodes.create(secretNode('n'))),
  async () => {
    let escaped: Repositories | undefined
    await store.transaction(async (tx) => {
      escaped = tx
    })
    await escaped?.nodes.create(secretNode('n'))
  },
]
