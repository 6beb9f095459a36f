/** Statements: typed, encoded, named, and prepared once. */
import { describe, expect, test } from 'vitest'
import { and, eq, gt, lte } from '../../src/database/queries.ts'
import { sqliteDialect } from '../../src/database/sqlite/dialect.ts'
import { given, pick, StatementCompiler, statement, statementFor } from '../../src/database/statement.ts'
import { StorageError } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { node } from '../support/samples.ts'
import { openDatabase, type Ran, recordingRepositories } from './support/open.ts'

describe('a placeholder', () => {
  const between = statement<{ from: Date; to: Date; started: boolean }>()('test.between', (db, { nodes }, p) =>
    db
      .select({ nodeId: nodes.nodeId })
      .from(nodes)
      .where(and(gt(nodes.createdAt, p.from), lte(nodes.createdAt, p.to), eq(nodes.started, p.started))),
  )

  test('beside a column is encoded as the column is: a Date and a boolean work in conditions', async () => {
    await using opened = await openDatabase()
    const { nodes } = recordingRepositories(opened.session, [])
    const at = (milliseconds: number): Date => new Date(1_700_000_000_000 + milliseconds)
    for (const [index, started] of [true, false, true, true].entries()) {
      await nodes.create(node(`n${index}`, { started, createdAt: at(index) }))
    }
    const found = await opened.session.read(between, { from: at(0), to: at(2), started: true })
    expect(found).toEqual([{ nodeId: 'n2' }])
    const others = await opened.session.read(between, { from: at(-1), to: at(9), started: false })
    expect(others).toEqual([{ nodeId: 'n1' }])
  })

  test('of the wrong type, or of a wrong column, does not compile', () => {
    // Each line is checked by the compiler alone: without the error that it expects, `tsc` fails.
    const uncompiled = (): unknown[] => [
      // @ts-expect-error a text beside a time
      statement<{ v: string }>()('x', (db, { nodes: t }, p) => db.select().from(t).where(gt(t.createdAt, p.v))),
      // @ts-expect-error a number beside a flag
      statement<{ v: number }>()('x', (db, { nodes: t }, p) => db.select().from(t).where(eq(t.started, p.v))),
      // @ts-expect-error a list beside a text
      statement<{ id: string[] }>()('x', (db, { nodes }, p) => db.select().from(nodes).where(eq(nodes.nodeId, p.id))),
      // @ts-expect-error a parameter that the statement does not have
      statement<{ id: string }>()('x', (db, { nodes }, p) => db.select().from(nodes).where(eq(nodes.nodeId, p.nodeId))),
      // @ts-expect-error a column that the table does not have
      statement<{ id: string }>()('x', (db, { nodes }, p) => db.select().from(nodes).where(eq(nodes.name, p.id))),
      // @ts-expect-error a time where a number belongs
      statement<{ k: Date }>()('x', (db, { pathCache }, p) => db.update(pathCache).set({ k: p.k }).where(undefined)),
      // @ts-expect-error a row without its other columns
      statement<{ name: string }>()('x', (db, { state }, p) => db.insert(state).values({ name: p.name })),
      // @ts-expect-error one row of many: what only one of the dialects has
      statement<object>()('x', (db, { nodes }) => db.select().from(nodes).get()),
    ]
    expect(uncompiled).toBeTypeOf('function')
  })

  test('without a value is refused when the statement runs', async () => {
    await using opened = await openDatabase()
    const byId = statement<{ id: string }>()('test.byId', (db, { nodes }, p) =>
      db.select().from(nodes).where(eq(nodes.nodeId, p.id)),
    )
    for (const parameters of [{}, { id: undefined }, { Id: 'a' }]) {
      // The compiler would refuse them; what is typed loosely gets here.
      const missing = async () => opened.session.read(byId, parameters as never)
      const error = await expectCode(missing(), 'MISUSE')
      expect(error.message).toContain('test.byId')
      expect(error.message).toContain('id')
    }
    expect(await opened.session.read(byId, { id: 'a' })).toEqual([])
  })

  test('takes null for no value that is missing', async () => {
    await using opened = await openDatabase()
    const byId = statement<{ id: string }>()('test.byId', (db, { nodes }, p) =>
      db.select().from(nodes).where(eq(nodes.nodeId, p.id)),
    )
    expect(await opened.session.read(byId, { id: null as never })).toEqual([])
  })
})

describe('the name of a statement', () => {
  const named = (name: string, column: 'nodeId' | 'started') =>
    statement<object>()(name, (db, { nodes }) => db.select({ it: nodes[column] }).from(nodes).where(undefined))

  test('stands for one text: a second one is refused', () => {
    const compiler = new StatementCompiler(sqliteDialect)
    compiler.compile(named('test.one', 'nodeId'))
    let refused: unknown
    try {
      compiler.compile(named('test.one', 'started'))
    } catch (error) {
      refused = error
    }
    expect(refused).toBeInstanceOf(StorageError)
    expect(refused).toMatchObject({ code: 'MISUSE' })
    expect(String(refused)).toContain('test.one')
  })

  test('may be given twice to the same text, and another one to another text', () => {
    const compiler = new StatementCompiler(sqliteDialect)
    const first = compiler.compile(named('test.one', 'nodeId'))
    expect(compiler.compile(named('test.one', 'nodeId')).sql).toBe(first.sql)
    expect(compiler.compile(named('test.two', 'started')).sql).not.toBe(first.sql)
  })

  test('a statement is compiled once', () => {
    const compiler = new StatementCompiler(sqliteDialect)
    const one = named('test.one', 'nodeId')
    expect(compiler.compile(one)).toBe(compiler.compile(one))
  })
})

describe('a patch or a filter', () => {
  test('is one statement for each set of fields, made once', () => {
    let made = 0
    const of = statementFor((fields: readonly ('a' | 'b')[]) => {
      made++
      return fields.join('+')
    })
    expect([of(['a', 'b']), of(['a', 'b']), of(['b']), of([]), of([])]).toEqual(['a+b', 'a+b', 'b', '', ''])
    expect(made).toBe(3)
  })

  test('takes the fields that have a value, in an order of its own', () => {
    const names = ['a', 'b', 'c'] as const
    expect(given({ c: 1, b: undefined, a: null }, names)).toEqual(['a', 'c'])
    expect(given({ a: false, b: 0, c: '' }, names)).toEqual(['a', 'b', 'c'])
    expect(pick({ a: 1, b: 2, c: 3 }, ['c', 'a'])).toEqual({ c: 3, a: 1 })
  })

  test('has the same name and the same text whatever the order in which the fields are given', async () => {
    await using opened = await openDatabase()
    const ran: Ran[] = []
    const { nodes, pathCache } = recordingRepositories(opened.session, ran)
    await nodes.create(node('a'))
    await pathCache.count({ source: 'a', destination: 'b' })
    await pathCache.count({ destination: 'b', source: 'a' })
    await nodes.update('a', { started: true, protocols: ['aodv'] })
    await nodes.update('a', { protocols: ['aodv'], started: true, interfaces: undefined })
    await nodes.list({ limit: 1, protocol: 'aodv', started: true, after: '-' })
    await nodes.list({ started: true, after: '-', protocol: 'aodv', interface: undefined })
    const statements = ran.slice(1).flatMap(({ statement }) => (statement.name.includes('keyAhead') ? [] : [statement]))
    const names = statements.map(({ name }) => name)
    expect(names).toEqual([
      'pathCache.count:source,destination',
      'pathCache.count:source,destination',
      'nodes.update:protocols,started',
      'nodes.update:protocols,started',
      'nodes.list:started,protocol,$after',
      'nodes.list:started,protocol,$after',
    ])
    for (const at of [0, 2, 4]) expect(statements[at]).toBe(statements[at + 1])
  })

  test('sets the columns given and updated_at, and no other', async () => {
    await using opened = await openDatabase()
    const ran: Ran[] = []
    const { nodes } = recordingRepositories(opened.session, ran)
    await nodes.create(node('a'))
    await nodes.update('a', { interfaces: [] })
    const sql = opened.database.compiler.compile(ran.at(-1)?.statement as Ran['statement']).sql
    const set = /set (.*?) where /i.exec(sql)?.[1] ?? ''
    expect(set).toMatch(/"interfaces" = \?/)
    expect(set).toMatch(/"updated_at" = /)
    expect(set).not.toMatch(/"(protocols|started|routes_discovered|created_at|node_id)" = /)
    expect(set.toLowerCase()).not.toContain('coalesce')
  })
})
