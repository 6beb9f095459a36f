/** A refused call names its row: singly, in bulk, in a transaction and in a savepoint. On PostgreSQL refused-in-batches does. */
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { StorageError } from '../../src/index.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { type AppTransaction, link, openApp } from '../tables/app/stages.ts'

type On = Pick<AppTransaction, 'nodes' | 'tables'>
const site = (siteId: string, name = siteId) => ({ siteId, name })
const many = <T>(of: (id: string) => T, last: T): T[] => [
  ...Array.from({ length: 700 }, (_, index) => of(`many-${index}`)),
  last,
]

const REFUSED: Readonly<Record<string, [names: string, (on: On) => Promise<unknown>]>> = {
  'a trigger': ['nodes "refused"', ({ nodes }) => nodes.create(node('refused'))],
  'a trigger, many': ['nodes "refused"', ({ nodes }) => nodes.createMany(many((id) => node(id), node('refused')))],
  'a trigger, some': ['nodes "refused"', ({ nodes }) => nodes.saveMany([node('one'), node('refused'), node('two')])],
  'a unique index': ['sites "b"', ({ tables }) => tables.sites.create(site('b', 'a'))],
  'a unique index, saved': ['sites "b"', ({ tables }) => tables.sites.save(site('b', 'a'), { outcome: true })],
  'a unique index, many': ['sites "b"', ({ tables }) => tables.sites.createMany(many(site, site('b', 'a')))],
  'a foreign key': ['links "l"', ({ tables }) => tables.links.update('l', { siteId: 'none' })],
  'a foreign key, many': [
    'links "m"',
    ({ tables }) => tables.links.saveMany([link('n'), link('m', { siteId: 'none' }), link('o')]),
  ],
  'a row that others refer to': ['sites "a"', ({ tables }) => tables.sites.delete('a')],
}

describe.each(['by itself', 'in a transaction', 'in a savepoint'] as const)('%s', (where) => {
  test.each(Object.keys(REFUSED))('%s', async (what) => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openApp(`sqlite:${path}`)
    await store.tables.sites.create(site('a'))
    await store.tables.links.create(link('l', { siteId: 'a' }))
    new Sqlite(path)
      .exec(`CREATE TRIGGER refusing BEFORE INSERT ON nodes WHEN NEW.node_id = 'refused'
        BEGIN SELECT RAISE(ABORT, 'refused'); END`)
      .close()

    const [names, call] = REFUSED[what] ?? ['', async () => {}]
    const calling = {
      'by itself': () => call(store),
      'in a transaction': () => store.transaction((tx) => call(tx)),
      'in a savepoint': () => store.transaction((tx) => tx.transaction((nested) => call(nested))),
    }[where]()
    const error = await calling.catch((thrown: unknown) => thrown)
    if (!(error instanceof StorageError)) throw new Error('Not refused.')
    expect(['CONFLICT', 'ALREADY_EXISTS']).toContain(error.code)
    expect(error.message.startsWith(`${names}: `), error.message).toBe(true)
    expect(await store.nodes.count()).toBe(0)
    expect(await store.tables.sites.count()).toBe(1)
    expect(await store.tables.links.count()).toBe(1)
  })
})

test('a foreign key that is looked at by the commit refuses its own call alone, by name', async () => {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await (await openApp(`sqlite:${path}`)).close()
  const raw = new Sqlite(path)
  raw.unsafeMode(true)
  raw.exec(`PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'ON DELETE no action', 'DEFERRABLE INITIALLY DEFERRED')
    WHERE name = 'links'; PRAGMA writable_schema = RESET`)
  raw.close()
  await using store = await openApp(`sqlite:${path}`)
  const { links } = store.tables
  const ids = Array.from({ length: 60 }, (_, index) => `l-${index}`)
  const calls = ids.map((id) => links.create(link(id, { siteId: id === 'l-31' ? 'none' : null })))
  const outcomes = await Promise.allSettled(calls)
  expect(outcomes.flatMap(({ status }, at) => (status === 'rejected' ? [ids[at]] : []))).toEqual(['l-31'])
  await expect(calls[31]).rejects.toThrow('links "l-31": A constraint')
  expect(await links.count()).toBe(59)
})
