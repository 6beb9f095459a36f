/** A trigger of others that says RAISE(FAIL) leaves what was written before it: a refused write must not stay. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Repositories } from '../../src/index.ts'
import { type OpenStore, sqliteFile, sqliteMemory } from '../support/backends.ts'
import { dump } from '../support/content.ts'
import { expectCode } from '../support/expectations.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { outcomes } from './support/settled.ts'

const KEYS = { nodes: 'node_id', policies: 'policy_id', path_cache: 'cache_key' } as const

const triggers = (work: string): string =>
  Object.entries(KEYS)
    .flatMap(([table, key]) =>
      ['INSERT', 'UPDATE', 'DELETE'].map((event) => {
        const row = event === 'DELETE' ? 'OLD' : 'NEW'
        return `CREATE TRIGGER theirs_${table}_${event} AFTER ${event} ON ${table} WHEN ${row}.${key} LIKE 'refused%'
          BEGIN ${work}; END`
      }),
    )
    .join(';')

/** Each keeps what the statement has written so far. */
const FAILURES = {
  'RAISE(FAIL)': { sql: triggers("SELECT RAISE(FAIL, 'no')"), code: 'CONFLICT' },
  'a statement that says OR FAIL': {
    sql: `CREATE TABLE seen (id TEXT UNIQUE); INSERT INTO seen VALUES ('once');
      ${triggers("INSERT OR FAIL INTO seen VALUES ('once')")}`,
    code: 'ALREADY_EXISTS',
  },
  'a table that says ON CONFLICT FAIL': {
    sql: `CREATE TABLE seen (id TEXT UNIQUE ON CONFLICT FAIL); INSERT INTO seen VALUES ('once');
      ${triggers("INSERT INTO seen VALUES ('once')")}`,
    code: 'ALREADY_EXISTS',
  },
} as const
const PLACES = [sqliteFile, sqliteMemory].flatMap((backend) =>
  Object.entries(FAILURES).map(([failure, more]) => ({ backend, failure, ...more })),
)

const WRITES: Readonly<Record<string, (on: Repositories) => Promise<unknown>>> = {
  'nodes.create': ({ nodes }) => nodes.create(node('refused-new')),
  'nodes.createMany': ({ nodes }) => nodes.createMany([node('x'), node('refused-new')]),
  'nodes.save': ({ nodes }) => nodes.save(node('refused-new')),
  'nodes.update': ({ nodes }) => nodes.update('refused', { started: true }),
  'nodes.recordRoutes': ({ nodes }) => nodes.recordRoutes('refused'),
  'nodes.delete': ({ nodes }) => nodes.delete('refused'),
  'nodes.updateMany': ({ nodes }) => nodes.updateMany({ interface: 'eth0' }, { started: true }),
  'nodes.deleteMany': ({ nodes }) => nodes.deleteMany({ interface: 'eth0' }),
  'policies.create': ({ policies }) => policies.create(policy('refused-new')),
  'policies.delete': ({ policies }) => policies.delete('refused'),
  'pathCache.set': ({ pathCache }) => pathCache.set(pathKey('refused-new', 'b'), bundle('refused-new', 'b')),
  'pathCache.delete': ({ pathCache }) => pathCache.delete(pathKey('refused', 'b')),
  'pathCache.invalidate': ({ pathCache }) => pathCache.invalidate({ source: 'refused' }),
}

describe.each(PLACES)('$failure ($backend.name)', ({ backend, sql, code }) => {
  let opened: OpenStore
  let before: Awaited<ReturnType<typeof dump>>
  beforeEach(async () => {
    opened = await backend.open({ pathCache: { invalidation: 'manual' } })
    const { store, other } = opened
    await store.nodes.create(node('refused'))
    await store.policies.create(policy('refused'))
    await store.pathCache.set(pathKey('refused', 'b'), bundle('refused', 'b'))
    before = await dump(store)
    // While the store is open.
    await other.execute(sql)
    return () => opened[Symbol.asyncDispose]()
  })

  test.each(Object.entries(WRITES))('%s', async (_, write) => {
    await expectCode(write(opened.store), code)
    expect(await dump(opened.store)).toEqual(before)
  })

  test.each(Object.entries(WRITES))('%s, beside others in one commit', async (_, write) => {
    const { store } = opened
    const codes = await outcomes([store.nodes.create(node('a')), write(store), store.nodes.create(node('b'))])
    expect(codes).toEqual(['done', code, 'done'])
    await Promise.all([store.nodes.delete('a'), store.nodes.delete('b')])
    expect(await dump(store)).toEqual(before)
  })

  test.each(Object.entries(WRITES))('%s, in a transaction that goes on', async (_, write) => {
    const { store } = opened
    await store.transaction(async (tx) => {
      await expectCode(write(tx), code)
      await tx.nodes.create(node('a'))
    })
    await store.nodes.delete('a')
    expect(await dump(store)).toEqual(before)
  })
})
