import type { SQL, SQLWrapper } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { alias, asc, desc, eq, sql } from '../../../src/query-entry.ts'
import type { Build } from '../../../src/tables/query.ts'
import { schema } from '../../../src/tables-entry.ts'
import { expectCode } from '../../support/expectations.ts'
import { node } from '../../support/samples.ts'
import { app } from '../../tables/app/schema.ts'
import { type AppSetting, type AppStage, link } from '../../tables/app/stages.ts'
import * as statements from '../../tables/app/statements.ts'

async function filled({ tables, nodes, clock }: AppStage): Promise<void> {
  await nodes.createMany([node('n', { started: true }), node('m')])
  await tables.sites.create({ siteId: 's', name: 'one' })
  await tables.links.createMany([
    link('1', { cost: 2, owner: 'n', seenAt: clock.now() }),
    link('2', { source: 'b', target: 'c', cost: 3, owner: 'n', siteId: 's' }),
    link('3', { source: 'b', isUp: false }),
  ])
}

export function ownStatements({ run }: AppSetting): void {
  test('a join gives a row of each table, or null', () =>
    run(async (stage) => {
      await filled(stage)
      const { query, nodes, tables } = stage
      const [first, third] = [await tables.links.get('1'), await tables.links.get('3')]
      expect(await query(statements.withOwners, { cost: 0 })).toEqual([
        { links: first, nodes: await nodes.get('n') },
        { links: await tables.links.get('2'), nodes: await nodes.get('n') },
        { links: third, nodes: null },
      ])
      expect(await query(statements.ends)).toEqual([
        { linkId: '1', isUp: true, started: true, at: (await nodes.get('n'))?.createdAt },
        { linkId: '2', isUp: true, started: true, at: (await nodes.get('n'))?.createdAt },
        { linkId: '3', isUp: false, started: null, at: null },
      ])
    }))

  test('groups, common table expressions, subqueries, unions and aliases', () =>
    run(async (stage) => {
      await filled(stage)
      const { query, clock } = stage
      expect(await query(statements.perSource, { since: new Date(0), isUp: true })).toEqual([
        { source: 'a', links: 1, cost: 2, mean: 2, last: clock.now() },
        { source: 'b', links: 1, cost: 3, mean: 3, last: null },
      ])
      expect(await query(statements.perSource, { since: clock.after(1), isUp: true })).toEqual([])
      expect(await query(statements.degrees, { least: 1 })).toEqual([{ nodeId: 'n', degree: 2 }])
      expect(await query(statements.onStarted, { sources: ['a', 'b'], not: ['b'] })).toEqual([{ linkId: '1' }])
      expect(await query(statements.bothEnds)).toEqual([{ node: 'a' }, { node: 'b' }, { node: 'c' }])
      expect(await query(statements.neighbours, { prefix: '1' })).toEqual([
        { first: '1', second: '2' },
        { first: '1', second: '3' },
      ])
      expect(await query(statements.bySite, { limit: 2 })).toEqual([
        { linkId: '2', siteId: 's' },
        { linkId: '1', siteId: null },
      ])
    }))

  test('asc and desc have NULLs at the same end, also those of a table that is left-joined', () =>
    run(async (stage) => {
      await filled(stage)
      const ordered = (order: (nodeId: SQLWrapper) => SQL) =>
        stage.query((db, { links, nodes }) =>
          db
            .select({ id: links.linkId })
            .from(links)
            .leftJoin(nodes, eq(nodes.nodeId, links.owner))
            .orderBy(order(sql`${nodes.nodeId}`), links.linkId),
        )
      expect((await ordered(asc)).map(({ id }) => id)).toEqual(['3', '1', '2'])
      expect((await ordered(desc)).map(({ id }) => id)).toEqual(['1', '2', '3'])
    }))

  test('run returns the rows of returning(), and how many rows were written', () =>
    run(async (stage) => {
      await filled(stage)
      const { run: write, tables, clock } = stage
      expect(await write(statements.takeDown, { source: 'a', now: clock.after(9), site: null })).toEqual({
        rows: [{ linkId: '1', isUp: false, updatedAt: clock.after(9) }],
        changes: 1,
      })
      expect(await write(statements.addSite, { siteId: 's', name: 'two' })).toEqual({ rows: [], changes: 1 })
      expect(await tables.sites.get('s')).toMatchObject({ name: 'two', floors: 1 })
      await expectCode(write(statements.removeSites), 'CONFLICT')
      await tables.links.deleteMany({ siteId: 's' })
      expect(await write(statements.removeSites)).toEqual({ rows: [], changes: 1 })
    }))

  test('a query may be built for one call', () =>
    run(async (stage) => {
      await filled(stage)
      for (const id of ['1', '2'])
        expect(
          await stage.query((db, { links }) => db.select({ id: links.linkId }).from(links).where(eq(links.linkId, id))),
        ).toEqual([{ id }])
    }))

  test('statements take effect in the order of the calls', () =>
    run(async ({ tables, run: write, query, clock }) => {
      const [, , , down] = await Promise.all([
        tables.links.create(link('1')),
        tables.links.create(link('2')),
        tables.links.update('1', { cost: 4 }),
        write(statements.takeDown, { source: 'a', now: clock.now(), site: null }),
        tables.links.save(link('1', { isUp: true })),
      ])
      expect(down.changes).toBe(2)
      expect((await query(statements.ends)).map(({ isUp }) => isUp)).toEqual([true, false])
    }))

  test.each([
    ['an ambiguous column', sql`site_id`, 'site_id'],
    ['a column that is not there', sql`no_column`, 'no_column'],
    ['a table that is not there', sql`(SELECT 1 FROM no_table)`, 'no_table'],
    ['a mistake in its SQL', sql`(1 , )`, ')'],
  ] as const)('a statement with %s is MISUSE that names it', (_what, mine, named) =>
    run(async (stage) => {
      await filled(stage)
      const { query, run: write } = stage
      const wrong = query((db, { links, sites }) =>
        db.select({ mine }).from(links).innerJoin(sites, eq(links.siteId, sites.siteId)),
      )
      const error = await expectCode(wrong, 'MISUSE')
      expect(error.message).toMatch(/^The statement app:\(unnamed\) cannot run: .* Correct the statement\.$/)
      expect(error.message).toContain(named)
      // It has undone nothing else.
      expect((await query(statements.ends)).length).toBe(3)
      expect((await write(statements.addSite, { siteId: 't', name: 'two' })).changes).toBe(1)
    }),
  )

  test('a query that writes is MISUSE, and writes nothing', () =>
    run(async (stage) => {
      await filled(stage)
      const { query, tables } = stage
      const before = await tables.links.list()
      const writes: Build<typeof app.tables, object, { returning(): unknown }>[] = [
        (db, { sites }) => db.insert(sites).values({ siteId: 't', name: 'two' }),
        (db, { links }) => db.update(links).set({ cost: 9 }),
        (db, { links }) => db.delete(links),
      ]
      for (const [at, write] of writes.entries()) {
        const returning: Build<typeof app.tables, object, unknown> = (...given) => write(...given).returning()
        for (const wrong of [write, returning, app.query()(`writes.${at}`, write as never)])
          expect((await expectCode(query(wrong as never), 'MISUSE')).message).toMatch(
            / writes\. Nothing was run\. Make it with schema\(\)\.change\(\), and give it to run\(\)\.$/,
          )
      }
      expect(await tables.links.list()).toEqual(before)
      expect(await tables.sites.get('t')).toBeUndefined()
    }))

  test('a change that only reads is MISUSE', () =>
    run(async ({ run: write }) => {
      const reads: Build<typeof app.tables, object, unknown> = (db, { links }) => db.select().from(links)
      expect((await expectCode(write(app.change()('links.read', reads as never)), 'MISUSE')).message).toBe(
        'The statement app:links.read only reads. Nothing was run. Make it with schema().query(), and give it to query().',
      )
    }))

  test('a column or table that is not there is MISUSE that names it, and nothing is run', () =>
    run(async (stage) => {
      await filled(stage)
      const { query, run: write, tables } = stage
      // As JavaScript may write it.
      const gone = (from: object): never => Reflect.get(from, 'sorce') as never
      const selections: Build<typeof app.tables, object, unknown>[] = [
        (db, { links }) => db.select({ source: gone(links) }).from(links),
        (db, { links }) =>
          db
            .select()
            .from(links)
            .where(eq(gone(links), 'a')),
        (db, { nodes }) => db.select().from(nodes).orderBy(gone(nodes)),
        (db, { links }) =>
          db
            .select()
            .from(links)
            .where(eq(gone(alias(links, 'next')), 'a')),
        (db, ours) => db.select().from(gone(ours)),
      ]
      const deletion: Build<typeof app.tables, object, unknown> = (db, { links }) => db.delete(links).where(gone(links))
      const calls = [
        ...selections.map((build) => () => query(build as never)),
        () => write(app.change()('links.none', deletion as never)),
      ]
      for (const call of calls)
        expect((await expectCode(call(), 'MISUSE')).message).toMatch(
          /^The statement app:\S+ names sorce, which .+ does not have\. Nothing was run\. Correct the name\.$/,
        )
      expect((await tables.links.list()).length).toBe(3)
    }))

  test('what is no statement of the schema is MISUSE', () =>
    run(async ({ query, run: write }) => {
      await expectCode(query(statements.takeDown as never), 'MISUSE')
      await expectCode(write(statements.ends as never), 'MISUSE')
      await expectCode(query({} as never), 'MISUSE')
      await expectCode(query((() => undefined) as never), 'MISUSE')
      await expectCode(query(statements.degrees, {} as never), 'MISUSE')
      await expectCode(query(statements.misplaced, { at: new Date() }), 'MISUSE')
      const other = schema({})
      await expectCode(query(other.query()('nodes.all', (db, { nodes }) => db.select().from(nodes))), 'MISUSE')
    }))
}
