import { expect, test } from 'vitest'
import { all, expectCode, expectRefused, IDS_BY_BYTES } from '../../support/expectations.ts'
import { type AppSetting, link } from '../../tables/app/stages.ts'

const keys = (rows: readonly { readonly linkId: string }[]): string[] => rows.map(({ linkId }) => linkId)

export function listing({ run }: AppSetting): void {
  test('list is in the order of the keys, and pages by key or by row', () =>
    run(async ({ tables: { links } }) => {
      await links.createMany(IDS_BY_BYTES.toReversed().map((id) => link(id)))
      expect(keys(await links.list())).toEqual(IDS_BY_BYTES)
      const first = await links.list({ limit: 5 })
      expect(keys(first)).toEqual(IDS_BY_BYTES.slice(0, 5))
      expect(keys(await links.list({ limit: 3, after: first[4] }))).toEqual(IDS_BY_BYTES.slice(5, 8))
      expect(keys(await links.list({ after: first[4]?.linkId }))).toEqual(IDS_BY_BYTES.slice(5))
      expect(keys(await links.list({ descending: true, after: first[4] }))).toEqual(
        IDS_BY_BYTES.slice(0, 4).toReversed(),
      )
      expect(keys(await all(links.iterate()))).toEqual(IDS_BY_BYTES)
    }))

  test('list and count take filters by value, by list and by NULL', () =>
    run(async ({ tables: { links }, clock }) => {
      await links.createMany([
        link('1', { source: 'x' }),
        link('2', { isUp: false }),
        link('3', { seenAt: clock.now() }),
      ])
      expect(keys(await links.list({ where: { source: 'x' } }))).toEqual(['1'])
      expect(keys(await links.list({ where: { source: ['x', 'a'], isUp: true } }))).toEqual(['1', '3'])
      expect(keys(await links.list({ where: { seenAt: null } }))).toEqual(['1', '2'])
      expect(keys(await links.list({ where: { seenAt: clock.now() } }))).toEqual(['3'])
      expect(keys(await links.list({ where: { seenAt: [clock.now(), clock.after(1)] } }))).toEqual(['3'])
      expect(keys(await links.list({ where: { source: [] } }))).toEqual([])
      expect(await links.count({ isUp: [false] })).toBe(1)
    }))

  test('orderBy an indexed column pages without losing or repeating rows', () =>
    run(async ({ tables: { links } }) => {
      const rows = Array.from({ length: 250 }, (_, index) =>
        link(`l-${String(index).padStart(3, '0')}`, { cost: (index * 7) % 10 }),
      )
      await links.createMany(rows)
      const expected = rows.toSorted((a, b) => (a.cost ?? 0) - (b.cost ?? 0) || (a.linkId < b.linkId ? -1 : 1))
      for (const descending of [false, true]) {
        const wanted = keys(descending ? expected.toReversed() : expected)
        const found: string[] = []
        for (let page = await links.list({ orderBy: 'cost', descending, limit: 40 }); page.length > 0; ) {
          found.push(...keys(page))
          page = await links.list({ orderBy: 'cost', descending, limit: 40, after: page.at(-1) })
        }
        expect(found).toEqual(wanted)
        expect(keys(await all(links.iterate({ orderBy: 'cost', descending })))).toEqual(wanted)
      }
      expect(await links.list({ orderBy: 'updatedAt', limit: 1 })).toHaveLength(1)
    }))

  test('pages by a time have every row, once, with filters and without', () =>
    run(async ({ tables: { links }, clock }) => {
      for (let index = 0; index < 60; index++) {
        if (index % 7 === 0) clock.advance(1)
        await links.create(link(`l-${String(index).padStart(3, '0')}`, { isUp: index % 2 === 0 }))
      }
      const wanted = Array.from({ length: 60 }, (_, index) => `l-${String(index).padStart(3, '0')}`)
      for (const where of [{}, { isUp: true }, { source: 'a', isUp: [true] }]) {
        const keysOf = wanted.filter((_, index) => index % 2 === 0 || !('isUp' in where))
        const found: string[] = []
        const options = { where, orderBy: 'updatedAt', descending: true, limit: 4 } as const
        for (let page = await links.list(options); page.length > 0; ) {
          found.push(...keys(page))
          page = await links.list({ ...options, after: page.at(-1) })
        }
        expect(found.toReversed()).toEqual(keysOf)
        expect(keys(await all(links.iterate({ where, orderBy: 'updatedAt' })))).toEqual(keysOf)
        expect(await links.count(where)).toBe(keysOf.length)
        expect(await links.list({ where, orderBy: 'updatedAt', limit: 1 })).toEqual([await links.get('l-000')])
      }
    }))

  test('prefix takes the keys that begin with a text, by code points', () =>
    run(async ({ tables: { links } }) => {
      const ids = ['a', 'ab', 'ab%', 'ab\u{10ffff}', 'ab\u{10ffff}x', 'aB', 'ac', 'b', '\u{d7ff}x', '\u{e000}']
      await links.createMany(ids.map((id) => link(id)))
      for (const prefix of ['a', 'ab', 'ab\u{10ffff}', 'b', '\u{d7ff}', 'none'])
        expect(keys(await links.list({ prefix })).toSorted()).toEqual(
          ids.filter((id) => id.startsWith(prefix)).toSorted(),
        )
      expect(keys(await links.list({ prefix: 'ab', orderBy: 'cost', limit: 1 }))).toEqual(['ab'])
    }))

  test('getMany returns the rows that exist, in the order asked for', () =>
    run(async ({ tables: { links } }) => {
      await links.createMany([link('1'), link('2')])
      expect(keys(await links.getMany(['2', '3', '1', '2']))).toEqual(['2', '1', '2'])
    }))

  test('a refused read says that nothing was read, a refused write that nothing was written', () =>
    run(async ({ tables: { links } }) => {
      const refused = async (calls: readonly (() => Promise<unknown>)[], nothing: string): Promise<void> => {
        for (const call of calls) expect((await expectCode(call(), 'VALIDATION')).message).toContain(nothing)
      }
      await refused(
        [
          () => links.get(''),
          () => links.getMany(['']),
          () => links.list({ limit: 0 }),
          () => links.list({ where: { isUp: 1 as never } }),
          () => links.list({ where: 'x' as never }),
          () => links.list({ orderBy: 'tags' as never }),
          () => links.list({ orderBy: 'cost', after: 'l' as never }),
          () => all(links.iterate({ prefix: '' })),
          () => links.count({ isUp: 1 as never }),
        ],
        'Nothing was read. Correct the value.',
      )
      await refused(
        [
          () => links.create(link('')),
          () => links.update('', {}),
          () => links.updateMany({ isUp: 1 as never }, {}),
          () => links.deleteMany({}),
        ],
        'Nothing was written. Correct the value.',
      )
    }))

  test('what a list cannot do is refused', () =>
    run(async ({ tables: { links } }) => {
      await expectRefused(links.list({ where: { nope: 1 } as never }), 'nope')
      await expectRefused(links.list({ where: { tags: ['x'] } as never }), 'tags')
      await expectRefused(links.list({ where: { cost: 'x' } as never }), 'cost')
      await expectRefused(links.list({ where: { cost: [1, 'x'] } as never }), 'cost[1]')
      await expectRefused(links.list({ where: { cost: null } as never }), 'cost')
      await expectRefused(links.list({ orderBy: 'target' }), 'orderBy')
      await expectRefused(links.list({ orderBy: 'siteId' as never }), 'orderBy')
      await expectRefused(links.list({ orderBy: 'cost', after: 'l' }), 'after')
      expect((await expectRefused(links.list({ limit: 0 }), 'limit')).message).toMatch(
        /^The options cannot be used: limit: must be /,
      )
      await expectRefused(links.list({ prefix: '' }), 'prefix')
      await expectRefused(links.list({ nope: 1 } as never), 'nope')
    }))
}
