/** The application's own tables in a replica: in bases and segments, restored, verified, followed and promoted. */
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { FolderPlace } from '../../src/replication/folder.ts'
import { Follower } from '../../src/replication/follow.ts'
import { placeOf } from '../../src/replication/open-place.ts'
import { restoreMoment } from '../../src/replication/restore.ts'
import { verifyPlace } from '../../src/replication/verify.ts'
import { runCommand } from '../cli/support/command.ts'
import { lastingBackends } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { borrowDatabase, postgresProgram } from '../support/postgres-backend.ts'
import { manyNodes, node } from '../support/samples.ts'
import { app, migrations } from '../tables/app/schema.ts'
import { byHand, contentOf, objectsIn } from './support/replicas.ts'

const OWN = { tables: app, migrations } as const
type Store = Awaited<ReturnType<typeof withApp>>
const withApp = (url: string) => openStorage({ url, ...OWN })
const asApp = (store: Meshstore): Store => store as unknown as Store

async function everything(store: Store) {
  const { nodes } = await contentOf(store as unknown as Meshstore)
  return {
    nodes: nodes.map(({ nodeId }) => nodeId),
    sites: await store.tables.sites.list({ limit: 1_000 }),
    links: await store.tables.links.list({ limit: 1_000 }),
  }
}

const EXCHANGING = ['b', 'c', 'd']
/** More than a page of the log, and a slice of a segment. */
const MANY = 2_300

/** Rows that depend on each other, in the order of a segment and against it. */
async function change(store: Store, turn: number): Promise<void> {
  await store.transaction(async (tx) => {
    await tx.nodes.saveMany(manyNodes(30, `t${turn}`))
    const [one, two] = [`a-site-${turn}`, `z-site-${turn}`]
    await tx.tables.sites.createMany([
      { siteId: one, name: `One ${turn}`, plan: { rooms: ['ünïcode', `${turn}`] } },
      { siteId: two, name: `Two ${turn}` },
    ])
    for (let each = 0; each < 20; each++)
      await tx.tables.links.create({
        linkId: `${turn}:${each}`,
        source: `t${turn}-0001`,
        target: `t${turn}-0002`,
        cost: each + 0.25,
        siteId: each % 2 === 0 ? one : two,
        owner: `t${turn}-00${10 + (each % 5)}`,
        tags: ['x', `${each}`],
      })
  })
  if (turn === 0) {
    await store.tables.sites.createMany(EXCHANGING.map((siteId) => ({ siteId, name: `name of ${siteId}` })))
    return
  }
  // Children lose their parents, by a cascade, too; two rows exchange a unique value.
  await store.tables.links.updateMany({ siteId: `a-site-${turn - 1}` }, { siteId: `z-site-${turn}`, isUp: false })
  await store.tables.sites.delete(`a-site-${turn - 1}`)
  await store.nodes.delete(`t${turn - 1}-0010`)
  await store.transaction(async (tx) => {
    const sites = await tx.tables.sites.getMany(EXCHANGING)
    const names = sites.map(({ name }) => name)
    for (const siteId of EXCHANGING) await tx.tables.sites.update(siteId, { name: `of ${siteId}, in between` })
    for (const [index, siteId] of EXCHANGING.entries())
      await tx.tables.sites.update(siteId, { name: names[(index + 1) % names.length] ?? '' })
  })
}

interface Target extends AsyncDisposable {
  readonly url: string
}

/** An empty database that its owner may change. */
async function emptyOn(name: string): Promise<Target> {
  if (name === 'PostgreSQL') {
    const { owner, giveBack } = await borrowDatabase([{ name: 'links' }, { name: 'sites' }])
    return { url: owner, [Symbol.asyncDispose]: giveBack }
  }
  const folder = temporaryFolder()
  return { url: folder.file('other.db'), [Symbol.asyncDispose]: async () => folder[Symbol.dispose]() }
}

for (const backend of lastingBackends) {
  describe(`own tables in a replica of ${backend.name}`, () => {
    test('are restored, verified, and refused where the migrations are missing', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open({ ...OWN, ...byHand(to) })
      const store = asApp(opened.store)
      await change(store, 0)
      await store.flushReplica()
      const first = await everything(store)
      for (const turn of [1, 2]) {
        await change(store, turn)
        await store.flushReplica()
      }
      expect((await store.health()).problems).toEqual([])
      const { problems, rows } = await verifyPlace(placeOf(to))
      expect([problems, rows > 100]).toEqual([[], true])

      const url = folder.file('restored.db')
      await expect(restoreMoment(placeOf(to), url)).rejects.toMatchObject({
        code: 'SCHEMA_MISMATCH',
        message: expect.stringMatching(
          /no tables .*links.*First apply the application's migrations.*open it once.*Close the store, then restore with --replace.*The source has these(?!.*ignore)/,
        ),
      })
      expect(existsSync(url)).toBe(false)
      await (await withApp(url)).close()
      await restoreMoment(placeOf(to), url, { replace: true })
      {
        await using restored = await withApp(url)
        expect(await everything(restored)).toEqual(await everything(store))
      }
      const moment = { generation: 1, segment: 1 }
      await restoreMoment(placeOf(to), url, { replace: true, moment })
      await using restored = await withApp(url)
      expect(await everything(restored)).toEqual(first)
    })

    test('begin a new generation when they come later', async () => {
      using folder = temporaryFolder()
      const to = folder.file('replica')
      await using opened = await backend.open({ ...OWN })
      const { other } = opened
      const described = "name IN ('table:links', 'table:sites')"
      await other.execute(`CREATE TABLE described AS SELECT * FROM meshstore_state WHERE ${described}`)
      await other.execute(`DELETE FROM meshstore_state WHERE ${described}`)
      await using store = asApp(await openStorage({ url: opened.url, ...byHand(to) }))
      await store.nodes.save(node('a'))
      await store.flushReplica()
      await other.execute('INSERT INTO meshstore_state SELECT * FROM described')
      await asApp(opened.store).tables.sites.create({ siteId: 's', name: 'S' })
      await store.flushReplica()
      expect(objectsIn(to)).toContain('g000002/begin')
      expect((await verifyPlace(placeOf(to))).problems).toEqual([])
      await other.execute('DROP TABLE described')
    })

    for (const to of lastingBackends)
      test(`are followed on ${to.name}, read-only until the promotion`, async () => {
        using folder = temporaryFolder()
        const replica = folder.file('replica')
        await using opened = await backend.open({ ...OWN, ...byHand(replica) })
        const store = asApp(opened.store)
        await using target = await emptyOn(to.name)
        await change(store, 0)
        await store.flushReplica()
        const place = new FolderPlace(replica)
        // A borrowed database has the tables of an earlier test.
        if (to.name !== 'PostgreSQL')
          await expect(Follower.open(place, target.url)).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' })
        await (await withApp(target.url)).close()
        const follower = await Follower.open(place, target.url)
        await follower.catchUp()
        await using standby = await withApp(target.url)
        expect(await everything(standby)).toEqual(await everything(store))
        for (let turn = 1; turn < 4; turn++) {
          await change(store, turn)
          await store.flushReplica()
          await follower.catchUp()
          expect(await everything(standby)).toEqual(await everything(store))
        }
        await expect(standby.tables.sites.create({ siteId: 's', name: 'S' })).rejects.toMatchObject({
          code: 'READ_ONLY',
        })
        await expect(standby.tables.links.deleteMany({ cost: 1.25 })).rejects.toMatchObject({ code: 'READ_ONLY' })
        // The triggers of a standby are no drift.
        const { stdout } = await runCommand(['check', '--url', target.url])
        expect(stdout).toMatch(/found to be well: .*schema/)
        await follower.promote()
        await follower.close()
        await standby.tables.sites.create({ siteId: 's', name: 'S' })
        // Foreign keys hold again.
        await expect(standby.tables.sites.delete('z-site-3')).rejects.toThrow()
      })

    test('exchange values of a partial unique index of an expression, and lose parents before their children', async () => {
      using folder = temporaryFolder()
      const replica = folder.file('replica')
      await using opened = await backend.open({ ...OWN, ...byHand(replica) })
      const { other } = opened
      await using target = await emptyOn('PostgreSQL')
      const inTarget = postgresProgram(target.url)
      await (await withApp(target.url)).close()
      const index = "CREATE UNIQUE INDEX sites_lower ON sites (lower(name)) WHERE name <> 'none'"
      const number = 'CAST(substr(site_id, 2) AS INTEGER)'
      await other.execute(index)
      await inTarget.execute('DROP INDEX idx_sites_name')
      await inTarget.execute(index)
      await inTarget.execute(
        'ALTER TABLE links ADD CONSTRAINT links_restrict FOREIGN KEY (site_id) REFERENCES sites ON UPDATE CASCADE ON DELETE RESTRICT',
      )
      try {
        const store = asApp(opened.store)
        await store.tables.sites.createMany(
          Array.from({ length: MANY }, (_, n) => ({ siteId: `s${n}`, name: `Name ${n}` })),
        )
        await store.tables.links.create({ linkId: 'l', source: 'a', target: 'b', siteId: 's1', tags: [] })
        await store.flushReplica()
        const follower = await Follower.open(new FolderPlace(replica), target.url)
        await follower.catchUp()
        // The parent's line comes first, and the child's in a later slice.
        await other.execute("UPDATE sites SET floors = 2 WHERE site_id = 's1'")
        await other.execute("UPDATE sites SET name = 'between ' || site_id")
        await other.execute(`UPDATE sites SET name = 'NAME ' || ((${number} + 1) % ${MANY})`)
        await store.tables.links.delete('l')
        await store.tables.sites.delete('s1')
        await store.flushReplica()
        await follower.catchUp()
        await follower.promote()
        await follower.close()
        await using standby = await withApp(target.url)
        expect(await everything(standby)).toEqual(await everything(store))
        await store.tables.links.deleteMany({ isUp: true })
        await standby.tables.links.create({ linkId: 'm', source: 'a', target: 'b', siteId: 's2', tags: [] })
        await expect(standby.tables.sites.delete('s2')).rejects.toThrow()
        // It is as it was before.
        await inTarget.execute(`DO $$ BEGIN ASSERT EXISTS (SELECT FROM pg_constraint WHERE conname = 'links_restrict'
          AND confupdtype = 'c' AND confdeltype = 'r' AND NOT condeferrable); END $$`)
      } finally {
        await other.execute('DROP INDEX sites_lower')
        await inTarget.execute('ALTER TABLE links DROP CONSTRAINT links_restrict')
        await inTarget.execute('DROP INDEX sites_lower')
        await inTarget.execute('CREATE UNIQUE INDEX idx_sites_name ON sites (name)')
      }
    })
  })
}
