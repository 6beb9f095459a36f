/** Every method of a store that runs statements, for what holds for all of them. */
import type { Meshstore, Repositories } from '../../src/index.ts'
import { all } from '../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'

const A_B = pathKey('a', 'b')

type RepositoryCall = readonly [name: string, call: (repositories: Repositories) => Promise<unknown>]

export const reads: readonly RepositoryCall[] = [
  ['nodes.get', ({ nodes }) => nodes.get('a')],
  ['nodes.getMany', ({ nodes }) => nodes.getMany(['a'])],
  ['nodes.list', ({ nodes }) => nodes.list({ started: true, protocol: 'aodv', interface: 'lo' })],
  ['nodes.iterate', ({ nodes }) => all(nodes.iterate())],
  ['nodes.count', ({ nodes }) => nodes.count()],
  ['policies.get', ({ policies }) => policies.get('a')],
  ['policies.getMany', ({ policies }) => policies.getMany(['a'])],
  ['policies.list', ({ policies }) => policies.list()],
  ['policies.iterate', ({ policies }) => all(policies.iterate())],
  ['policies.count', ({ policies }) => policies.count()],
  ['pathCache.get', ({ pathCache }) => pathCache.get(A_B)],
  ['pathCache.getEntry', ({ pathCache }) => pathCache.getEntry(A_B)],
  ['pathCache.list', ({ pathCache }) => pathCache.list()],
  ['pathCache.iterate', ({ pathCache }) => all(pathCache.iterate())],
  ['pathCache.count', ({ pathCache }) => pathCache.count()],
  ['pathCache.stats', ({ pathCache }) => pathCache.stats()],
]

export const writes: readonly RepositoryCall[] = [
  ['nodes.create', ({ nodes }) => nodes.create(node('new'))],
  ['nodes.createMany', ({ nodes }) => nodes.createMany([node('new')])],
  ['nodes.update', ({ nodes }) => nodes.update('a', { started: true })],
  ['nodes.save', ({ nodes }) => nodes.save(node('a'))],
  ['nodes.saveMany', ({ nodes }) => nodes.saveMany([node('a')])],
  ['nodes.recordRoutes', ({ nodes }) => nodes.recordRoutes('a')],
  ['nodes.delete', ({ nodes }) => nodes.delete('a')],
  ['nodes.updateMany', ({ nodes }) => nodes.updateMany({ started: true }, { started: false })],
  ['nodes.deleteMany', ({ nodes }) => nodes.deleteMany({ started: true, protocol: 'aodv', interface: 'lo' })],
  ['policies.create', ({ policies }) => policies.create(policy('new'))],
  ['policies.createMany', ({ policies }) => policies.createMany([policy('new')])],
  ['policies.update', ({ policies }) => policies.update('a', { yamlContent: 'rules: []' })],
  ['policies.save', ({ policies }) => policies.save(policy('a'))],
  ['policies.delete', ({ policies }) => policies.delete('a')],
  ['pathCache.set', ({ pathCache }) => pathCache.set(A_B, bundle('a', 'b'))],
  ['pathCache.setMany', ({ pathCache }) => pathCache.setMany([{ key: A_B, bundle: bundle('a', 'b') }])],
  ['pathCache.delete', ({ pathCache }) => pathCache.delete(A_B)],
  ['pathCache.invalidate', ({ pathCache }) => pathCache.invalidate({ source: 'a' })],
  ['pathCache.deleteExpired', ({ pathCache }) => pathCache.deleteExpired()],
  ['pathCache.clear', ({ pathCache }) => pathCache.clear()],
]

type StoreCall = readonly [name: string, call: (store: Meshstore) => Promise<unknown>]

export const calls: readonly StoreCall[] = [
  ...reads,
  ...writes,
  ['pathCache.getOrCompute', ({ pathCache }) => pathCache.getOrCompute(A_B, () => bundle('a', 'b'))],
  ['stats', (store) => store.stats()],
]
