/**
 * A savepoint that is undone has told its callback whether rows were there. Two transactions, each of which takes its row
 * away or adds it after the other has looked, must not both go by what they saw: write skew.
 */
import { expect, test } from 'vitest'
import { StorageError } from '../../src/index.ts'
import { gate } from '../support/gate.ts'
import { node } from '../support/samples.ts'
import { type AppStore, type AppTransaction, link, openApp } from '../tables/app/stages.ts'
import { createDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

type Seen = 'free' | 'there'
type Table = 'nodes' | 'policies' | 'links'
type Look = (tx: AppTransaction, id: string) => Promise<Seen>

const IDS = ['a', 'b'] as const
const policy = (policyId: string) => ({ policyId, yamlContent: 'rules: []' })

const created = (creating: Promise<unknown>): Promise<Seen> =>
  creating.then(
    () => 'free',
    (error) => {
      if (error instanceof StorageError && error.code === 'ALREADY_EXISTS') return 'there'
      throw error
    },
  )
const saved = async (saving: Promise<{ createdAt: Date; updatedAt: Date }>): Promise<Seen> => {
  const { createdAt, updatedAt } = await saving
  return createdAt.getTime() === updatedAt.getTime() ? 'free' : 'there'
}
const manyNodes = (id: string) => [node(id), ...Array.from({ length: 10_001 }, (_, index) => node(`${id}${index}`))]

const LOOKS: Readonly<Record<string, Look>> = {
  'nodes.create': (tx, id) => created(tx.nodes.create(node(id))),
  'nodes.createMany': (tx, id) => created(tx.nodes.createMany([node(`${id}0`), node(id)])),
  'nodes.createMany of more rows than are remembered': (tx, id) => created(tx.nodes.createMany(manyNodes(id))),
  'nodes.save': (tx, id) => saved(tx.nodes.save(node(id))),
  'nodes.saveMany': async (tx, id) => saved(tx.nodes.saveMany([node(id)]).then(([row]) => row ?? (node(id) as never))),
  'nodes.update': (tx, id) =>
    tx.nodes.update(id, { started: true }).then(
      () => 'there',
      () => 'free',
    ),
  'nodes.delete': async (tx, id) => ((await tx.nodes.delete(id)) ? 'there' : 'free'),
}
const POLICY_LOOKS: Readonly<Record<string, Look>> = {
  'policies.create': (tx, id) => created(tx.policies.create(policy(id))),
  'policies.save': (tx, id) => saved(tx.policies.save(policy(id))),
}

const OWN_LOOKS: Readonly<Record<string, Look>> = {
  'links.create': (tx, id) => created(tx.tables.links.create(link(id))),
  'links.createMany': (tx, id) => created(tx.tables.links.createMany([link(`${id}0`), link(id)])),
  'links.delete': async (tx, id) => ((await tx.tables.links.delete(id)) ? 'there' : 'free'),
}

const UNDO = new Error('The savepoint is undone.')

type On = Pick<AppTransaction, 'nodes' | 'policies' | 'tables'>
type Change = (on: On, id: string) => Promise<unknown>
const CREATES: Readonly<Record<Table, Change>> = {
  nodes: (on, id) => on.nodes.create(node(id)),
  policies: (on, id) => on.policies.create(policy(id)),
  links: (on, id) => on.tables.links.create(link(id)),
}
const REMOVES: Readonly<Record<Table, Change>> = {
  nodes: (on, id) => on.nodes.delete(id),
  policies: (on, id) => on.policies.delete(id),
  links: (on, id) => on.tables.links.delete(id),
}

/** Returns the version that each of two transactions saw of its own row, before it changed the other's. */
async function looked(
  stores: readonly AppStore[],
  look: Look,
  write: (tx: AppTransaction, id: string) => Promise<unknown>,
) {
  const bothLooked = gate()
  let looks = 0
  return Promise.all(
    stores.map((store, at) => {
      let isFirst = true
      return store.transaction(
        async (tx) => {
          let seen: Seen | undefined
          const undone = tx.transaction(async (nested) => {
            seen = await look(nested, IDS[at] ?? '')
            throw UNDO
          })
          await expect(undone).rejects.toBe(UNDO)
          if (isFirst && ++looks === stores.length) bothLooked.open()
          isFirst = false
          await bothLooked.opened
          await write(tx, IDS[1 - at] ?? '')
          return seen
        },
        { timeoutMs: 60_000 },
      )
    }),
  )
}

describePostgres('what an undone savepoint has seen', () => {
  const cases = [
    ...Object.entries(LOOKS).map(([name, look]) => ({ name, look, table: 'nodes' as const })),
    ...Object.entries(POLICY_LOOKS).map(([name, look]) => ({ name, look, table: 'policies' as const })),
    ...Object.entries(OWN_LOOKS).map(([name, look]) => ({ name, look, table: 'links' as const })),
  ]

  test.each(cases)('$name', async ({ look, table }) => {
    await using database = await createDatabase()
    await using first = await openApp(database.url)
    await using second = await openApp(database.url)
    const stores = [first, second]
    const create = CREATES[table]
    const remove = REMOVES[table]

    // One of them came first, and has added the row that the other looks for.
    const added = await looked(stores, look, (tx, id) => create(tx, id).catch(() => {}))
    expect(added.toSorted()).toEqual(['free', 'there'])

    for (const id of IDS) await remove(first, id)
    for (const id of IDS) await create(first, id)
    const removed = await looked(stores, look, remove)
    expect(removed.toSorted()).toEqual(['free', 'there'])
  })
})
