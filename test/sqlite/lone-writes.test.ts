/**
 * A write that is alone in its commit has no savepoint, and a change of many rows is a transaction of its own. A refused one leaves
 * nothing all the same.
 */
import Sqlite from 'better-sqlite3'
import { beforeEach, describe, expect, test } from 'vitest'
import { SqliteConnection } from '../../src/database/sqlite/connection.ts'
import { sqliteDialect } from '../../src/database/sqlite/dialect.ts'
import { StatementCompiler } from '../../src/database/statement.ts'
import type { Repositories } from '../../src/index.ts'
import { updateMany } from '../../src/repositories/node-statements.ts'
import { type OpenStore, sqliteFile, sqliteMemory } from '../support/backends.ts'
import { dump } from '../support/content.ts'
import { expectCode } from '../support/expectations.ts'
import { gate } from '../support/gate.ts'
import { node } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { openInside } from './support/inside.ts'

const ALL = ['a', 'b', 'c']
/** The last row is refused. RAISE(FAIL) keeps the rows before it. */
const REFUSALS = {
  'a unique index': 'CREATE UNIQUE INDEX theirs ON nodes (routes_discovered) WHERE routes_discovered = 9',
  'a trigger with RAISE(ABORT)': trigger('ABORT'),
  'a trigger with RAISE(FAIL)': trigger('FAIL'),
  'a trigger with RAISE(ROLLBACK)': trigger('ROLLBACK'),
}
function trigger(how: string): string {
  return `CREATE TRIGGER theirs AFTER UPDATE ON nodes WHEN NEW.node_id = 'c' BEGIN SELECT RAISE(${how}, 'no'); END`
}
const toNine = ({ nodes }: Repositories) => nodes.updateMany({ started: false }, { routesDiscovered: 9 })

describe.each([sqliteFile, sqliteMemory])('$name', (backend) => {
  let opened: OpenStore
  beforeEach(async () => {
    opened = await backend.open()
    await opened.store.nodes.createMany(ALL.map((id) => node(id)))
    return () => opened[Symbol.asyncDispose]()
  })

  test.each(Object.entries(REFUSALS))('%s refuses a change of many rows as a whole', async (_, sql) => {
    const { store, other } = opened
    expect(await store.nodes.updateMany({ started: false }, { routesDiscovered: 1 })).toBe(3)
    await other.execute(sql)
    const before = await dump(store)
    await expect(toNine(store)).rejects.toMatchObject({ code: expect.stringMatching(/CONFLICT|ALREADY_EXISTS/) })
    expect(await dump(store)).toEqual(before)

    const beside = [store.nodes.create(node('d', { started: true })), toNine(store), store.nodes.delete('d')]
    const settled = await Promise.allSettled(beside)
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(await dump(store)).toEqual(before)
  })

  test('a row that comes back broken is as before', async () => {
    const { store, other } = opened
    await other.corrupt('nodes', 'b', { interfaces: '[1]' })
    const before = await other.row('nodes', 'b')
    await expectCode(store.nodes.update('b', { routesDiscovered: 5 }), 'CORRUPT')
    expect(await other.row('nodes', 'b')).toEqual(before)
    expect(await store.nodes.update('a', { routesDiscovered: 5 })).toMatchObject({ routesDiscovered: 5 })
  })

  test('counts and deletes what the filter finds, and nothing where it finds none', async () => {
    const { store } = opened
    using commits = record('commit', 'end')
    expect(await store.nodes.updateMany({ started: true }, { routesDiscovered: 1 })).toBe(0)
    expect(await toNine(store)).toBe(3)
    expect(await store.nodes.deleteMany({ prefix: 'a', started: false })).toBe(1)
    expect(commits.events.map(({ batch }) => batch)).toEqual([1, 1, 1])
    expect(await store.nodes.getMany(ALL)).toMatchObject([{ routesDiscovered: 9 }, { routesDiscovered: 9 }])
  })
})

test('a change of many rows does nothing by itself once the schema is another one', async () => {
  await using opened = await sqliteFile.open()
  await opened.store.nodes.createMany(ALL.map((id) => node(id)))
  const { path, other } = opened
  const raw = new Sqlite(path)
  const connection = new SqliteConnection(raw)
  const fields = ['routesDiscovered', 'ifStarted'] as const
  const bound = new StatementCompiler(sqliteDialect).bind(updateMany(fields), {
    routesDiscovered: 9,
    ifStarted: false,
    now: new Date(),
  } as never)
  expect(connection.writeByItself(bound)).toBeUndefined()
  connection.isSchemaChanged()
  expect(connection.writeByItself(bound)).toMatchObject({ changes: 3 })
  const before = await dump(opened.store)
  // In the moment between the look at the schema and the statement.
  await other.execute(trigger('FAIL'))
  expect(connection.writeByItself(bound)).toBeUndefined()
  connection.isSchemaChanged()
  expect(connection.writeByItself(bound)).toBeUndefined()
  connection.close()
  expect(await dump(opened.store)).toEqual(before)
})

test('a change of many rows waits for another program’s lock', async () => {
  await using opened = await sqliteFile.open({ busyTimeoutMs: 60_000 })
  const { store, path } = opened
  await store.nodes.createMany(ALL.map((id) => node(id)))
  const other = new Sqlite(path)
  other.exec('BEGIN IMMEDIATE')
  const retried = gate()
  using retries = record('retry', 'start')
  const changing = toNine(store)
  const look = setInterval(() => retries.events.length > 0 && retried.open(), 5)
  await retried.opened
  clearInterval(look)
  other.exec('COMMIT')
  other.close()
  expect(await changing).toBe(3)
})

test('a disk that fails under a change of many rows leaves its outcome unknown', async () => {
  await using opened = await sqliteFile.open()
  await using inside = await openInside(opened.path)
  await inside.nodes.createMany(ALL.map((id) => node(id)))
  const prepare = inside.writer.prepare.bind(inside.writer)
  let failed = 0
  inside.writer.prepare = ((source: string) => {
    const statement = prepare(source)
    if (source.includes('pragma_schema_version'))
      statement.run = () => {
        failed++
        throw new Sqlite.SqliteError('disk I/O error', 'SQLITE_IOERR_FSYNC')
      }
    return statement
  }) as typeof inside.writer.prepare
  await expectCode(inside.nodes.updateMany({ started: false }, { routesDiscovered: 9 }), 'OUTCOME_UNKNOWN')
  expect(failed).toBe(1)
})
