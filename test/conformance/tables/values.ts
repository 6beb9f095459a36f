/** The values in an application's own statements keep the rules of their columns. */
import { expect, test } from 'vitest'
import { StorageError } from '../../../src/index.ts'
import { and, eq, gt, inArray, sql } from '../../../src/query-entry.ts'
import type { Build } from '../../../src/tables/query.ts'
import { expectCode } from '../../support/expectations.ts'
import { app } from '../../tables/app/schema.ts'
import { type AppSetting, link } from '../../tables/app/stages.ts'

type Given = Readonly<Record<string, unknown>>
type Names = 'value' | 'siteId' | 'name' | 'floors' | 'plan' | 'cost' | 'list' | 'by' | 'was'
type Any = Build<typeof app.tables, Readonly<Record<Names, never>>, never>
/** As JavaScript may write it: with any value. */
const change = (name: string, build: (...given: Parameters<Any>) => unknown) => app.change()(name, build as never)
const YEAR_20000 = new Date(Date.UTC(20_000, 0))

/** What no column of its kind takes, and the problem's path within the value. */
const WRONG: readonly (readonly [what: string, value: Given, path: string])[] = [
  ['a time in the year 20000', { seenAt: YEAR_20000 }, ''],
  ['an invalid Date', { seenAt: new Date(Number.NaN) }, ''],
  ['a text for a time', { seenAt: 'x' }, ''],
  ['a number in a list', { tags: ['a', 5] }, '[1]'],
  ['a text for a list', { tags: 'a' }, ''],
  ['a lone surrogate', { source: '\ud800' }, ''],
  ['NUL', { source: 'a\0b' }, ''],
  ['a number for a text', { source: 7 }, ''],
  ['a text that is too large', { source: 'x'.repeat(1_048_577) }, ''],
  ['null for a column that is NOT NULL', { source: null }, ''],
  ['a number for a flag', { isUp: 1 }, ''],
  ['Infinity', { cost: Number.POSITIVE_INFINITY }, ''],
  ['a text for a number', { cost: '1' }, ''],
]

export function statementValues({ run }: AppSetting): void {
  test.each(WRONG)('%s is VALIDATION that names the column, and nothing is written', (_what, wrong, path) =>
    run(async ({ tables, run: write, clock }) => {
      const row = await tables.links.create(link('1', { seenAt: clock.now() }))
      const [[property = '', value] = []] = Object.entries(wrong)
      const column = /^(seen|is)/.test(property)
        ? property.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`)
        : property
      const set = { source: 'a', ...wrong }
      const inserted = {
        linkId: '2',
        target: 'b',
        tags: [],
        createdAt: row.createdAt,
        updatedAt: row.updatedAt,
        ...set,
      }
      const calls: [change: ReturnType<typeof change>, path: string][] = [
        [change('values.set', (db, { links }, p) => db.update(links).set({ [property]: p.value })), `value${path}`],
        [change('values.const', (db, { links }) => db.update(links).set(set as never)), path],
        [
          change('values.insert', (db, { links }, p) =>
            db.insert(links).values([{ ...inserted, [property]: p.value } as never, inserted as never]),
          ),
          path,
        ],
        [
          change('values.upsert', (db, { links }, p) =>
            db
              .insert(links)
              .values({ ...inserted, [property]: sql`null` } as never)
              .onConflictDoUpdate({ target: links.linkId, set: { [property]: p.value } }),
          ),
          `value${path}`,
        ],
      ]
      for (const [each, at] of calls) {
        const error = await expectCode(write(each, { value } as never), 'VALIDATION')
        expect(error.message).toContain(`The value for links.${column} in the statement app:values.`)
        expect(error.message).toMatch(/ Nothing was written\. Correct the value\.$/)
        expect(error.issues.map((issue) => issue.path)).toEqual([at])
      }
      expect(await tables.links.list()).toEqual([row])
    }),
  )

  test('an integer with a fraction, a key that is too long, an object that is no JSON, and a broken rule', () =>
    run(async ({ tables, run: write }) => {
      await tables.sites.create({ siteId: 's', name: 'one' })
      await tables.links.create(link('1'))
      const site = change('values.site', (db, { sites }, p) =>
        db.insert(sites).values({ siteId: p.siteId, name: p.name, floors: p.floors, plan: p.plan }),
      )
      const sound = { siteId: 't', name: 'two', floors: 1, plan: null }
      const wrongs: Given[] = [
        { floors: 2.5 },
        { floors: 2 ** 31 },
        { siteId: '' },
        { siteId: 'x'.repeat(256) },
        { plan: 'text' },
        { plan: { rooms: ['\ud800'] } },
        { plan: { rooms: [() => 1] } },
      ]
      for (const wrong of wrongs) await expectCode(write(site, { ...sound, ...wrong } as never), 'VALIDATION')
      const cost = change('values.cost', (db, { links }, p) => db.update(links).set({ cost: p.cost }))
      expect((await expectCode(write(cost, { cost: 1_000 } as never), 'VALIDATION')).message).toContain(
        'cost: must be below 1000',
      )
      const node = change('values.node', (db, { nodes }, p) => db.update(nodes).set({ interfaces: p.list }))
      await expectCode(write(node, { list: [7] } as never), 'VALIDATION')
      expect((await tables.sites.list()).length).toBe(1)
      expect((await write(site, sound as never)).changes).toBe(1)
      expect(await tables.sites.get('t')).toMatchObject({ floors: 1, plan: null })
    }))

  test('values that are compared are checked too, but not by the application’s own rules', () =>
    run(async ({ tables, query, run: write }) => {
      await tables.links.create(link('1', { cost: 2 }))
      const above = app.query<{ cost: number }>()('values.above', (db, { links }, p) =>
        db.select({ id: links.linkId }).from(links).where(gt(links.cost, p.cost)),
      )
      expect(await query(above, { cost: 5_000 })).toEqual([])
      expect((await expectCode(query(above, { cost: 'x' } as never), 'VALIDATION')).message).toMatch(
        /^The value for links\.cost in the statement app:values\.above cannot be used: cost: must be .* Nothing was read\./,
      )
      const some = app.query<{ ids: string[] }>()('values.some', (db, { links }, p) =>
        db.select({ id: links.linkId }).from(links).where(inArray(links.linkId, p.ids)),
      )
      const refused = await expectCode(query(some, { ids: ['1', 'a\0b'] }), 'VALIDATION')
      expect(refused.issues.map(({ path }) => path)).toEqual(['ids[1]'])
      await expectCode(query(some, { ids: '1' } as never), 'VALIDATION')
      await expectCode(
        query((db, { links }) => db.select({ id: links.linkId }).from(links).where(eq(links.seenAt, YEAR_20000))),
        'VALIDATION',
      )
      const inside = app.query<{ at: Date }>()('values.inside', (db, { links }, p) =>
        db
          .select({ id: links.linkId })
          .from(links)
          .where(inArray(links.linkId, db.select({ id: links.linkId }).from(links).where(gt(links.updatedAt, p.at)))),
      )
      expect(await query(inside, { at: new Date(0) })).toEqual([{ id: '1' }])
      await expectCode(query(inside, { at: YEAR_20000 }), 'VALIDATION')
      const raise = change('values.raise', (db, { links }, p) =>
        db
          .update(links)
          .set({ cost: sql`${links.cost} + ${sql.param(p.by, links.cost)}` })
          .where(and(eq(links.cost, p.was), eq(links.isUp, true))),
      )
      expect((await write(raise, { by: 1, was: 2 } as never)).changes).toBe(1)
      await expectCode(write(raise, { by: 1, was: Number.NaN } as never), 'VALIDATION')
      expect((await tables.links.get('1'))?.cost).toBe(3)
    }))

  test.each([
    ['a Date in sql', (links: typeof app.tables.links.sqlite) => sql`${links.createdAt} < ${new Date()}`],
    ['true in sql', (links) => sql`${links.isUp} = ${true}`],
    ['an object in sql', (links) => sql`${links.source} = ${{ a: 1 }}`],
    ['a Map in sql', (links) => sql`${links.source} = ${new Map()}`],
    ['a function in sql', (links) => sql`${links.source} = ${() => 'a'}`],
    ['undefined beside a column', (links) => eq(links.source, undefined as never)],
    ['a column of a table that is not joined', (links) => sql`${links.source} = 'a'`],
  ] as const satisfies readonly [string, (links: typeof app.tables.links.sqlite) => unknown][])(
    '%s is MISUSE',
    (what, condition) =>
      run(async ({ query }) => {
        const error = await expectCode(
          query((db, { links, sites }) =>
            what.includes('joined')
              ? (db.select({ id: links.linkId }).from(sites) as never)
              : db.select({ id: links.linkId }).from(links).where(condition(links)),
          ),
          'MISUSE',
        )
        expect(error.message).toMatch(/^The statement app:\(unnamed\) .* Nothing was run\. /)
        expect(error.message).not.toContain('?.')
      }),
  )

  test('a value for a column that is not there, and a row without one that it needs, are MISUSE that names it', () =>
    run(async ({ tables, run: write }) => {
      const site = await tables.sites.create({ siteId: 's', name: 'one' })
      const wrongs: [named: string, change: ReturnType<typeof change>][] = [
        ['nam', change('values.typo', (db, { sites }) => db.update(sites).set({ nam: 'x', name: 'y' } as never))],
        [
          'flors',
          change('values.typos', (db, { sites }) =>
            db.insert(sites).values([{ siteId: 't', name: 't' }, { siteId: 'u', name: 'u', flors: 2 } as never]),
          ),
        ],
        ['sites.name', change('values.missing', (db, { sites }) => db.insert(sites).values({ siteId: 't' } as never))],
        [
          'sites.name',
          change('values.undefined', (db, { sites }) =>
            db.insert(sites).values({ siteId: 't', name: undefined } as never),
          ),
        ],
      ]
      for (const [named, wrong] of wrongs)
        expect((await expectCode(write(wrong), 'MISUSE')).message).toMatch(
          new RegExp(` ${named}, which .* Nothing was run\\. `),
        )
      expect(await tables.sites.list()).toEqual([site])
    }))

  test('a limit or an offset that is no whole number is VALIDATION', () =>
    run(async ({ tables, query }) => {
      await tables.links.createMany(['1', '2', '3'].map((id) => link(id)))
      const page = app.query<{ limit: number; offset: number }>()('values.page', (db, { links }, p) =>
        db.select({ id: links.linkId }).from(links).orderBy(links.linkId).limit(p.limit).offset(p.offset),
      )
      expect(await query(page, { limit: 1, offset: 1 })).toEqual([{ id: '2' }])
      expect(await query(page, { limit: 0, offset: 0 })).toEqual([])
      for (const wrong of [1.5, -1, Number.NaN, 'x', null])
        for (const given of [{ limit: wrong }, { offset: wrong }]) {
          const [name = ''] = Object.keys(given)
          const error = await expectCode(query(page, { limit: 1, offset: 1, ...given } as never), 'VALIDATION')
          expect(error.issues.map(({ path }) => path)).toEqual([name])
          const constants = { limit: 1, offset: 1, ...given } as { limit: number; offset: number }
          await expectCode(
            query((db, { links }) =>
              db.select({ id: links.linkId }).from(links).limit(constants.limit).offset(constants.offset),
            ),
            'VALIDATION',
          )
        }
    }))

  test('a query that is built once and returned again is still checked', () =>
    run(async ({ tables, query }) => {
      await tables.links.create(link('1'))
      let built: unknown
      const kept = app.query<{ cost: number }>()('values.kept', (db, { links }, p) => {
        built ??= db.select({ id: links.linkId }).from(links).where(eq(links.cost, p.cost))
        return built as never
      })
      const again = app.query<{ cost: number }>()('values.again', () => built as never)
      expect(await query(kept, { cost: 1 })).toEqual([{ id: '1' }])
      expect(await query(again, { cost: 1 })).toEqual([{ id: '1' }])
      for (const each of [kept, again]) await expectCode(query(each, { cost: 'x' } as never), 'VALIDATION')
    }))

  test('what the function that builds a statement throws is the application’s own', () =>
    run(async ({ query }) => {
      const mine = new RangeError('mine')
      await expect(
        query(() => {
          throw mine
        }),
      ).rejects.toBe(mine)
      expect(mine).not.toBeInstanceOf(StorageError)
    }))

  test('an async function that builds a statement is MISUSE, and rejects nothing that nobody waits for', () =>
    run(async ({ query, run: write }) => {
      const wrong = async (...[db, { links }]: Parameters<Any>) => db.select().from(links)
      expect((await expectCode(query(wrong as never), 'MISUSE')).message).toContain('is async')
      expect((await expectCode(write(change('values.async', wrong as never)), 'MISUSE')).message).toContain('is async')
      // Node reports a rejection without a handler at the end of the turn.
      await new Promise(setImmediate)
    }))

  test('a statement that moves updatedAt as the guide does is noticed by ifUpdatedAt', () =>
    run(async ({ tables, run: write, clock }) => {
      const takeDown = app.change<{ now: Date }>()('values.down', (db, { links }, p) => {
        const now = sql.param(p.now, links.updatedAt)
        const next = sql`${links.updatedAt} + 0.001`
        return db
          .update(links)
          .set({ isUp: false, updatedAt: sql`CASE WHEN ${now} > ${next} THEN ${now} ELSE ${next} END` })
      })
      const { updatedAt } = await tables.links.create(link('1'))
      for (const [now, moved] of [
        [updatedAt, updatedAt.getTime() + 1],
        [new Date(0), updatedAt.getTime() + 2],
        [clock.after(60), clock.after(60).getTime()],
      ] as const) {
        await write(takeDown, { now })
        expect((await tables.links.get('1'))?.updatedAt.getTime()).toBe(moved)
        await expectCode(tables.links.update('1', { isUp: true }, { ifUpdatedAt: updatedAt }), 'CONFLICT')
      }
    }))
}
