/** Rows that go with others: a parent that takes rows with it whose changes drop cached paths. */
import { expect, test } from 'vitest'
import { gate } from '../support/gate.ts'
import { bundle, node, pathKey } from '../support/samples.ts'
import { type AppStore, link, openApp } from '../tables/app/stages.ts'
import { createDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

const A_B = pathKey('a', 'b')
const FOUND = bundle('a', 'b')

const REMOVALS: Readonly<Record<string, (store: AppStore) => Promise<unknown>>> = {
  'the link': ({ tables }) => tables.links.delete('l'),
  'the node that owns it': ({ nodes }) => nodes.delete('owner'),
  'its site': ({ tables }) => tables.sites.delete('s'),
  'its site among many': ({ tables }) => tables.sites.deleteMany({ siteId: 's' }),
  'its site in a transaction': (store) => store.transaction((tx) => tx.tables.sites.delete('s')),
}

describePostgres('a path that is stored while another transaction holds it', () => {
  test.each(Object.keys(REMOVALS))('is dropped by a later call that removes %s', async (what) => {
    await using database = await createDatabase()
    await using store = await openApp(database.url)
    const key = 'links_site_id_sites_site_id_fk'
    await database.query(`ALTER TABLE links DROP CONSTRAINT ${key},
      ADD CONSTRAINT ${key} FOREIGN KEY (site_id) REFERENCES sites ON DELETE CASCADE`)
    await store.tables.sites.create({ siteId: 's', name: 's' })
    await store.nodes.create(node('owner'))
    await store.tables.links.create(link('l', { siteId: 's', owner: 'owner' }))

    const isHeld = gate()
    const goesOn = gate()
    const holding = store.transaction(
      async (tx) => {
        await tx.pathCache.set(A_B, FOUND)
        isHeld.open()
        await goesOn.opened
      },
      { timeoutMs: 60_000 },
    )
    await isHeld.opened
    const storing = store.pathCache.set(A_B, FOUND)
    const removing = REMOVALS[what]?.(store)
    await Promise.race([removing, new Promise((resolve) => setTimeout(resolve, 300))])
    goesOn.open()
    await Promise.all([holding, storing, removing])
    expect(await store.tables.links.count()).toBe(0)
    expect(await store.pathCache.get(A_B)).toBeUndefined()
  })
})
