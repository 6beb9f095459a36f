/** The search finds whatever is planted, wherever it is, and fails the case in which it was seen. */
import { tracingChannel } from 'node:diagnostics_channel'
import { describe, expect, inject, onTestFinished, test } from 'vitest'
import type { Session } from '../../src/database/session.ts'
import { StorageError } from '../../src/index.ts'
import { SqlNodeRepository } from '../../src/repositories/node-repository.ts'
import { SqlPolicyRepository } from '../../src/repositories/policy-repository.ts'
import { backends, postgres, sqliteFile } from '../support/backends.ts'
import { expectCode } from '../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { Canary } from './canary.ts'
import { canary } from './setup.ts'

const VALUE = 'planted-value-4c7d'
const ID = 'planted-id-8e1f'
const TEXT = `rules:\n  - { id: ${VALUE}, effect: DENY }\n`

/** Takes the leaks found up to now, so that they do not fail the case. */
const seen = (): string => canary.take().leaks.join('\n')

/** The real repositories on a database that says whatever it is told to. */
const saying = (error: unknown): Session =>
  ({ inTransaction: false, write: () => Promise.reject(error), readOne: () => Promise.reject(error) }) as never

const PLACES: Readonly<Record<string, (value: string) => Error>> = {
  'its message': (value) => new StorageError('CONFLICT', `refused ${value}`),
  'an issue': (value) => new StorageError('VALIDATION', 'refused', { issues: [{ path: '', message: value }] }),
  'the message of its cause': (value) => new StorageError('CORRUPT', 'refused', { cause: new Error(value) }),
  'a cause of its cause': (value) =>
    new StorageError('CORRUPT', 'refused', { cause: new Error('a', { cause: new Error('b', { cause: { value } }) }) }),
  "a driver's detail": (value) =>
    new StorageError('CONFLICT', 'refused', { cause: Object.assign(new Error('23514'), { detail: `(a, ${value})` }) }),
  'bytes of a row': (value) => new StorageError('CONFLICT', 'refused', { cause: Buffer.from(value) }),
  'the name of a property': (value) => new StorageError('CONFLICT', 'refused', { cause: { [value]: 1 } }),
  'a property that is not listed': (value) =>
    Object.defineProperty(new StorageError('CONFLICT', 'refused'), 'row', { value: { column: [value] } }),
  'a getter': (value) => Object.defineProperty(new Error('refused'), 'row', { get: () => value, enumerable: true }),
  'its stack': (value) => Object.assign(new Error('refused'), { stack: `Error: ${value}\n    at nowhere` }),
  'what JSON makes of it': (value) => Object.assign(new Error('refused'), { toJSON: () => ({ value }) }),
}

describe('an error of a repository that shows a value is found in', () => {
  test.each(Object.entries(PLACES))('%s', async (_, make) => {
    const nodes = new SqlNodeRepository(saying(make(VALUE)), () => new Date())
    await nodes.create(node(ID, { interfaces: [VALUE] })).catch(() => {})
    expect(seen()).toMatch(/^an error of nodes.create\(\) shows planted-value-4c7d of nodes.create: /)
  })

  test('a part of a text', async () => {
    const error = new StorageError('VALIDATION', `bad indent near "${VALUE}"`)
    const policies = new SqlPolicyRepository(saying(error), { now: () => new Date(), countRules: undefined })
    await policies.save(policy(ID, TEXT)).catch(() => {})
    expect(seen()).toContain('an error of policies.save()')
  })

  test('a step of an iteration, and a call that gave no value itself', async () => {
    const session = { read: () => Promise.reject(new StorageError('CORRUPT', VALUE)) } as never
    const nodes = new SqlNodeRepository(session, () => new Date())
    canary.give('nodes.create', [node(ID, { protocols: [VALUE] })])
    await expectCode(nodes.iterate().next(), 'CORRUPT')
    expect(seen()).toContain('an error of nodes.iterate()')
  })
})

test('ids, and the names of properties, may appear, though they are values, too', async () => {
  await using opened = await sqliteFile.open()
  const { nodes } = opened.store
  await nodes.create(node(ID, { interfaces: [ID] }))
  const exists = await expectCode(nodes.create(node(ID, { interfaces: [ID] })), 'ALREADY_EXISTS')
  expect(exists.message).toContain(ID)
  const unknown = 'planted-property'
  const named = await expectCode(
    nodes.create({ ...node(ID), protocols: [unknown], [unknown]: 1 } as never),
    'VALIDATION',
  )
  expect(named.message).toContain(unknown)
  expect(seen()).toBe('')
})

describe.each(backends)('through a store: $name', (backend) => {
  test('what a call gives is looked for in its error, in those of others, and in its transaction', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const before = canary.looked.errors
    await store.nodes.create(node(ID, { interfaces: [VALUE] }))
    await expectCode(store.nodes.create(node(ID, { interfaces: [VALUE] })), 'ALREADY_EXISTS')
    await expectCode(store.policies.create(policy(ID, `${VALUE}: [`)), 'VALIDATION')
    expect(canary.looked.errors - before).toBeGreaterThanOrEqual(2)
    expect(canary.look('a text', `It holds ${VALUE}.`)).toBe(true)
    expect(seen()).toContain(`a text shows ${VALUE} of`)

    const leaking = store.transaction(async (tx) => {
      Object.assign(tx, { last: VALUE })
      throw new StorageError('CONFLICT', VALUE)
    })
    await expectCode(leaking, 'CONFLICT')
    const leaks = seen()
    expect(leaks).toContain('a transaction shows')
    expect(leaks).toContain('an error of store.transaction() shows')
  })

  test('every call of every repository and every event is looked at', async () => {
    await using opened = await backend.open()
    const { nodes, policies, pathCache } = opened.store
    const { errors, events } = canary.looked
    await expectCode(nodes.get(''), 'VALIDATION')
    await expectCode(policies.get(''), 'VALIDATION')
    await expectCode(pathCache.set(pathKey('a', 'b'), { ...bundle('a', 'b'), at: new Date() } as never), 'VALIDATION')
    await pathCache.getOrCompute(pathKey('a', 'b'), () => bundle('a', 'b'))
    expect(canary.looked.errors - errors).toBe(3)
    expect(canary.looked.events - events).toBeGreaterThanOrEqual(8)
    await opened.store.close()
    await opened.store.transaction((tx) => tx.nodes.count()).catch(() => {})
    expect(canary.looked.errors - errors).toBe(4)
  })
})

test.each(['statement', 'transaction', 'commit', 'cache'])('an event of meshstore:%s that shows a value', (name) => {
  canary.give('policies.save', [policy(ID, TEXT)])
  const { start, asyncEnd, error } = tracingChannel(`meshstore:${name}`)
  start.publish({ name: 'nodes.get', rows: 1 })
  expect(seen()).toBe('')
  start.publish({ name: `nodes.get ${VALUE}` })
  expect(seen()).toContain(`the event meshstore:${name}:start shows ${VALUE} of policies.save`)
  asyncEnd.publish({ name: 'nodes.get', values: [VALUE] })
  expect(seen()).toContain(`the event meshstore:${name}:asyncEnd shows`)
  error.publish({ name: 'nodes.get', error: new StorageError('CONFLICT', VALUE) })
  expect(seen()).toContain(`the event meshstore:${name}:error shows`)
})

test('output and warnings that show a value', async () => {
  canary.give('pathCache.set', [pathKey('a', 'b'), { ...bundle('a', 'b'), note: VALUE }])
  console.info({ deep: { value: VALUE } })
  expect(seen()).toContain('console.info shows')
  process.stderr.write(`${VALUE}\n`)
  expect(seen()).toContain('stderr shows')
  process.emitWarning(VALUE)
  await new Promise((resolve) => setImmediate(resolve))
  expect(seen()).toContain('a warning of the process shows')
})

test.runIf(backends.includes(postgres))('a password of the server, in whatever it is', async () => {
  await using opened = await postgres.open()
  for (const url of [inject('postgresUrl'), opened.url]) {
    const { password } = new URL(url)
    for (const shown of [url, new Error(url), { pool: { password } }, new StorageError('CONFIG', password)])
      expect(canary.look('something', shown)).toBe(true)
  }
  expect(seen()).toContain('something shows a password')
})

test('a store that keeps its values where an inspection shows them', () => {
  const looking = new Canary([])
  looking.give('nodes.create', [node(ID, { interfaces: [VALUE] })])
  expect(looking.look('a store', { nodes: { last: new Map([[ID, [VALUE]]]) } })).toBe(true)
  expect(looking.look('a store', { nodes: {} })).toBe(false)
})

describe('fails the case in which it was seen:', () => {
  test.fails('an error', async () => {
    await using opened = await sqliteFile.open()
    await opened.store.nodes.create(node(ID, { interfaces: [VALUE] }))
    const nodes = new SqlNodeRepository(saying(new StorageError('CONFLICT', VALUE)), () => new Date())
    await expectCode(nodes.create(node(ID, { interfaces: [VALUE] })), 'CONFLICT')
  })

  test.fails('an event', () => {
    canary.give('nodes.create', [node(ID, { interfaces: [VALUE] })])
    tracingChannel('meshstore:statement').end.publish({ name: 'nodes.create', value: VALUE })
  })

  test('and no other one', () => {
    onTestFinished(({ task }) => expect(task.result?.errors ?? []).toEqual([]))
    expect(canary.leaks).toEqual([])
  })
})
