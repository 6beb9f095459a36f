/**
 * A create that finds its key taken says so as of one moment. That moment must not be before a transaction that was over when the
 * create was called: here another transaction reads a row before that one writes it, and then takes the key away.
 */
import { expect, test } from 'vitest'
import { expectCode } from '../support/expectations.ts'
import { gate } from '../support/gate.ts'
import { node } from '../support/samples.ts'
import { type AppStore, type AppTransaction, link, openApp } from '../tables/app/stages.ts'
import { createDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

type On = Pick<AppTransaction, 'nodes' | 'policies' | 'tables'>
const policy = (policyId: string) => ({ policyId, yamlContent: 'rules: []' })

interface Table {
  readonly create: (on: On, id: string) => Promise<unknown>
  readonly createMany: (on: On, ids: readonly string[]) => Promise<unknown>
  readonly get: (on: On, id: string) => Promise<unknown>
  readonly remove: (on: On, id: string) => Promise<unknown>
}
const TABLES: Readonly<Record<string, Table>> = {
  nodes: {
    create: ({ nodes }, id) => nodes.create(node(id)),
    createMany: ({ nodes }, ids) => nodes.createMany(ids.map((id) => node(id))),
    get: ({ nodes }, id) => nodes.get(id),
    remove: ({ nodes }, id) => nodes.delete(id),
  },
  policies: {
    create: ({ policies }, id) => policies.create(policy(id)),
    createMany: ({ policies }, ids) => policies.createMany(ids.map(policy)),
    get: ({ policies }, id) => policies.get(id),
    remove: ({ policies }, id) => policies.delete(id),
  },
  links: {
    create: ({ tables }, id) => tables.links.create(link(id)),
    createMany: ({ tables }, ids) => tables.links.createMany(ids.map((id) => link(id))),
    get: ({ tables }, id) => tables.links.get(id),
    remove: ({ tables }, id) => tables.links.delete(id),
  },
}

type Refused = (table: Table, store: AppStore) => Promise<unknown>
const REFUSED: Readonly<Record<string, Refused>> = {
  create: ({ create }, store) => create(store, 'taken'),
  createMany: ({ createMany }, store) => createMany(store, ['free', 'taken']),
  'create, beside others that succeed': async ({ create }, store) => {
    const others = ['x', 'y'].map((id) => create(store, id))
    const refused = create(store, 'taken')
    await Promise.all(others)
    return refused
  },
}
const cases = Object.keys(TABLES).flatMap((table) => Object.keys(REFUSED).map((call) => ({ table, call })))

describePostgres('a key that is taken', () => {
  test.each(cases)('$table, $call: an answer is no older than a transaction that is over', async ({ table, call }) => {
    const on = TABLES[table] as Table
    await using database = await createDatabase()
    await using first = await openApp(database.url)
    await using second = await openApp(database.url)
    await on.create(first, 'taken')

    const hasRead = gate()
    const goesOn = gate()
    const seen: boolean[] = []
    const removing = first.transaction(
      async (tx) => {
        seen.push((await on.get(tx, 'later')) !== undefined)
        hasRead.open()
        await goesOn.opened
        await on.remove(tx, 'taken')
      },
      { timeoutMs: 60_000 },
    )
    await hasRead.opened
    await on.create(second, 'later')
    await expectCode(REFUSED[call]?.(on, second) ?? Promise.resolve(), 'ALREADY_EXISTS')
    goesOn.open()
    await removing

    // The key was taken after `later` came, so the removal came after it, too.
    expect(seen.at(-1)).toBe(true)
    expect(await on.get(first, 'taken')).toBeUndefined()
  })

  test.each(Object.keys(TABLES))('%s: calls that are not awaited find it taken in their order', async (table) => {
    const { create, createMany, get, remove } = TABLES[table] as Table
    await using database = await createDatabase()
    await using store = await openApp(database.url)
    const refused = (calling: Promise<unknown>) => expectCode(calling, 'ALREADY_EXISTS')

    await create(store, 'a')
    await create(store, 'b')
    await Promise.all([
      refused(create(store, 'a')),
      remove(store, 'a'),
      refused(createMany(store, ['new', 'b'])),
      remove(store, 'b'),
      create(store, 'a'),
      refused(create(store, 'a')),
      create(store, 'c'),
      refused(create(store, 'c')),
    ])
    const there = await Promise.all(['a', 'b', 'c', 'new'].map(async (id) => (await get(store, id)) !== undefined))
    expect(there).toEqual([true, false, true, false])
  })
})
