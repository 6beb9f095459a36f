import { expect, test } from 'vitest'
import { expectCode, expectRefused } from '../../support/expectations.ts'
import { node } from '../../support/samples.ts'
import { type AppSetting, link } from '../../tables/app/stages.ts'

export function writing({ run }: AppSetting): void {
  test('create fills in defaults, NULLs and times, and get returns the same row', () =>
    run(async ({ tables, clock }) => {
      const created = await tables.links.create(link('l', { tags: ['x'] }))
      expect(created).toEqual({
        ...link('l', { tags: ['x'] }),
        cost: 1,
        isUp: true,
        siteId: null,
        owner: null,
        seenAt: null,
        createdAt: clock.now(),
        updatedAt: clock.now(),
      })
      expect(await tables.links.get('l')).toEqual(created)
      expect(await tables.links.get('m')).toBeUndefined()
    }))

  test('every kind of column comes back as it was given', () =>
    run(async ({ tables, clock }) => {
      const plan = { rooms: ['a', '\u{1f600}'], deep: { list: [1, null, 'x'] } }
      await tables.sites.create({ siteId: 's', name: 'Süd', floors: -3, plan })
      expect(await tables.sites.get('s')).toEqual({ siteId: 's', name: 'Süd', floors: -3, plan })
      const given = { ...link('l', { cost: 0.1, isUp: false, siteId: 's', tags: ['b', 'a'] }), seenAt: clock.now() }
      await tables.links.create(given)
      expect(await tables.links.get('l')).toMatchObject(given)
    }))

  test('create of a key that is there rejects with ALREADY_EXISTS, and changes nothing', () =>
    run(async ({ tables }) => {
      const first = await tables.links.create(link('l'))
      await expectCode(tables.links.create(link('l', { cost: 5 })), 'ALREADY_EXISTS')
      expect(await tables.links.get('l')).toEqual(first)
    }))

  test('save says whether it added the row', () =>
    run(async ({ tables: { links, sites }, clock }) => {
      const added = await links.save(link('l', { createdAt: new Date(0) }), { outcome: true })
      expect(added).toMatchObject({ row: { linkId: 'l', cost: 1, createdAt: clock.now() }, created: true })
      clock.advance(5)
      const saved = await links.save(link('l', { cost: 7 }), { outcome: true })
      expect(saved).toEqual({ row: { ...added.row, cost: 7, updatedAt: clock.now() }, created: false })
      expect(await links.get('l')).toEqual(saved.row)
      expect(await sites.save({ siteId: 's', name: 'n' }, { outcome: true })).toMatchObject({ created: true })
      const kept = await sites.save({ siteId: 's', name: 'm' }, { outcome: true })
      expect(kept).toEqual({ row: { siteId: 's', name: 'm', floors: 1, plan: null }, created: false })
      await expectRefused(sites.save({ siteId: 's', name: 'n' }, { outcome: 'x' as never }), 'outcome')
    }))

  test('createMany adds all rows or none', () =>
    run(async ({ tables }) => {
      const rows = Array.from({ length: 1_200 }, (_, index) => link(`l-${index}`, { cost: index % 7 }))
      expect(await tables.links.createMany(rows)).toHaveLength(1_200)
      await expectCode(tables.links.createMany([link('new'), link('l-0')]), 'ALREADY_EXISTS')
      expect(await tables.links.get('new')).toBeUndefined()
      expect(await tables.links.count()).toBe(1_200)
      expect(await tables.links.count({ cost: 3 })).toBe(rows.filter(({ cost }) => cost === 3).length)
    }))

  test('a value that breaks a rule is refused before anything is written', () =>
    run(async ({ tables }) => {
      await expectRefused(tables.links.create(link('')), 'linkId')
      await expectRefused(tables.links.create(link('l', { cost: 1_000 })), 'cost')
      expect((await expectRefused(tables.links.create(link('l', { cost: Number.NaN })), 'cost')).message).toContain(
        'cost: must be a finite number.',
      )
      await expectRefused(tables.links.createMany([link('l'), link('m', { tags: ['', 'x'] })]), '[1].tags[0]')
      await expectRefused(tables.links.create({ ...link('l'), nope: 1 } as never), 'nope')
      await expectRefused(tables.links.create({ linkId: 'l' } as never), 'source', 'target', 'tags')
      await expectRefused(
        tables.sites.create({ siteId: 's', name: 'n', plan: { rooms: [], at: new Date() } as never }),
        'plan.at',
      )
      expect(await tables.links.count()).toBe(0)
    }))

  test('a constraint of the table refuses a row', () =>
    run(async ({ tables }) => {
      await expectCode(tables.links.create(link('l', { siteId: 'none' })), 'CONFLICT')
      const checked = await expectCode(tables.links.create(link('l', { cost: -1 })), 'CONFLICT')
      expect(checked.message).toMatch(/links "l": A constraint in the database refused .*links_cost/)
      await tables.links.create(link('l'))
      await expectCode(tables.links.update('l', { cost: -1 }), 'CONFLICT')
      expect((await expectCode(tables.links.updateMany({ cost: 1 }, { cost: -1 }), 'CONFLICT')).message).toMatch(
        /A constraint in the database refused .*links_cost/,
      )
      await tables.links.delete('l')
      await tables.sites.create({ siteId: 's', name: 'one' })
      await expectCode(tables.sites.create({ siteId: 't', name: 'one' }), 'ALREADY_EXISTS')
      expect(await tables.sites.count()).toBe(1)
    }))

  test('a foreign key that refuses a row names the table and the key', () =>
    run(async ({ tables }) => {
      const refused = async (call: Promise<unknown>, row: string): Promise<void> =>
        expect((await expectCode(call, 'CONFLICT')).message).toMatch(`${row}: A constraint in the database refused`)
      const none = { siteId: 'none' }
      await refused(tables.links.create(link('l', none)), 'links "l"')
      await refused(tables.links.save(link('m', none)), 'links "m"')
      const many = Array.from({ length: 120 }, (_, at) => link(`n-${at}`, at === 70 ? none : {}))
      await refused(tables.links.createMany(many), 'links "n-70"')
      expect(await tables.links.count()).toBe(0)
      await tables.sites.create({ siteId: 's', name: 'one' })
      await tables.links.create(link('l', { siteId: 's' }))
      await refused(tables.links.update('l', none), 'links "l"')
      await refused(tables.sites.delete('s'), 'sites "s"')
    }))

  test('update changes the columns given and advances updatedAt', () =>
    run(async ({ tables, clock }) => {
      const created = await tables.links.create(link('l'))
      const updated = await tables.links.update('l', { cost: 2, siteId: null, isUp: undefined })
      expect(updated).toEqual({ ...created, cost: 2, updatedAt: clock.after(1) })
      clock.advance(1_000)
      expect(await tables.links.update('l', {})).toEqual({ ...updated, updatedAt: clock.now() })
      await expectCode(tables.links.update('m', { cost: 2 }), 'NOT_FOUND')
      await expectRefused(tables.links.update('l', { linkId: 'x' } as never), 'linkId')
      await expectRefused(tables.links.update('l', { updatedAt: clock.now() } as never), 'updatedAt')
    }))

  test('update and delete with ifUpdatedAt reject with CONFLICT if the row has changed', () =>
    run(async ({ tables }) => {
      const { updatedAt } = await tables.links.create(link('l'))
      const updated = await tables.links.update('l', { cost: 2 }, { ifUpdatedAt: updatedAt })
      await expectCode(tables.links.update('l', { cost: 3 }, { ifUpdatedAt: updatedAt }), 'CONFLICT')
      await expectCode(tables.links.delete('l', { ifUpdatedAt: updatedAt }), 'CONFLICT')
      expect(await tables.links.get('l')).toEqual(updated)
      expect(await tables.links.delete('l', { ifUpdatedAt: updated.updatedAt })).toBe(true)
      expect(await tables.links.delete('l', { ifUpdatedAt: updated.updatedAt })).toBe(false)
    }))

  test('a table without times is updated, saved and deleted', () =>
    run(async ({ tables }) => {
      const created = await tables.sites.create({ siteId: 's', name: 'one' })
      expect(await tables.sites.update('s', {})).toEqual(created)
      expect(await tables.sites.update('s', { floors: 2 })).toEqual({ ...created, floors: 2 })
      expect(await tables.sites.save({ siteId: 's', name: 'two' })).toEqual({ ...created, name: 'two', floors: 2 })
      await expectCode(tables.sites.update('t', {}), 'NOT_FOUND')
      expect(await tables.sites.delete('s')).toBe(true)
      expect(await tables.sites.delete('s')).toBe(false)
    }))

  test('save adds a row, or replaces the columns given and keeps createdAt', () =>
    run(async ({ tables, clock }) => {
      const saved = await tables.links.save(link('l', { cost: 3 }))
      expect(saved).toMatchObject({ cost: 3, createdAt: clock.now(), updatedAt: clock.now() })
      clock.advance(1_000)
      const again = await tables.links.save(link('l', { tags: ['x'], createdAt: new Date(0) }))
      expect(again).toEqual({ ...saved, tags: ['x'], updatedAt: clock.now() })
      const many = await tables.links.saveMany([link('l', { cost: 4 }), link('m'), link('l', { cost: 5 })])
      expect(many.map(({ cost }) => cost)).toEqual([4, 1, 5])
      expect(await tables.links.get('l')).toEqual(many[2])
    }))

  test('updateMany and deleteMany change all rows that match, and refuse an empty filter', () =>
    run(async ({ tables, clock }) => {
      await tables.links.createMany([link('a'), link('b', { cost: 2 }), link('c', { cost: 2, source: 'x' })])
      clock.advance(1_000)
      expect(await tables.links.updateMany({ cost: 2 }, { cost: 9, isUp: false })).toBe(2)
      expect(await tables.links.get('b')).toMatchObject({ cost: 9, isUp: false, updatedAt: clock.now() })
      expect(await tables.links.get('a')).toMatchObject({ cost: 1, isUp: true, updatedAt: clock.after(-1_000) })
      await expectRefused(tables.links.updateMany({}, { cost: 1 }), '')
      await expectRefused(tables.links.deleteMany({ cost: undefined }), '')
      await expectRefused(tables.links.deleteMany({ nope: 1 } as never), 'nope')
      expect(await tables.links.deleteMany({ source: ['a', 'y'], isUp: [true, false], cost: [9, 3] })).toBe(1)
      expect(await tables.links.deleteMany({ siteId: null })).toBe(2)
      expect(await tables.links.count()).toBe(0)
    }))

  test('a row of nodes takes the rows with it that refer to it', () =>
    run(async ({ tables, nodes }) => {
      await nodes.create(node('n'))
      await tables.links.create(link('l', { owner: 'n' }))
      await nodes.save(node('n', { started: true }))
      expect(await tables.links.count()).toBe(1)
      await nodes.delete('n')
      expect(await tables.links.count()).toBe(0)
    }))

  test('writes of one key that are not awaited take effect in the order of the calls', () =>
    run(async ({ tables, nodes }) => {
      const outcomes = await Promise.allSettled([
        nodes.create(node('n')),
        tables.sites.create({ siteId: 's', name: 'one' }),
        tables.links.create(link('l', { owner: 'n', siteId: 's' })),
        tables.links.update('l', { cost: 2 }),
        tables.links.updateMany({ cost: 2 }, { cost: 3 }),
        tables.links.save(link('l', { tags: ['x'] })),
        tables.links.create(link('l')),
        tables.links.delete('l'),
        tables.links.create(link('l', { cost: 7 })),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual([
        ...Array(6).fill('fulfilled'),
        'rejected',
        'fulfilled',
        'fulfilled',
      ])
      expect(outcomes[5]).toMatchObject({ value: { cost: 3, tags: ['x'], siteId: 's' } })
      expect(await tables.links.get('l')).toMatchObject({ cost: 7, owner: null })
    }))

  test('a unit that fails leaves nothing in any table', () =>
    run(async ({ tables, nodes, transaction }) => {
      const failing = transaction(async (tx) => {
        await tx.nodes.create(node('n'))
        await tx.tables.links.create(link('l', { owner: 'n' }))
        throw new Error('undone')
      })
      await expect(failing).rejects.toThrow('undone')
      expect([await nodes.count(), await tables.links.count()]).toEqual([0, 0])
    }))
}
