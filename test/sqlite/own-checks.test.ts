/** The library's own CHECKs, whose refusals are told from those of an application's. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { translated } from '../../src/database/sqlite/errors.ts'

const names = [
  ...readFileSync(join(import.meta.dirname, '../../drizzle/sqlite.sql'), 'utf8').matchAll(/CONSTRAINT "(\w+)" CHECK/g),
].map(([, name]) => name)
const codeFor = (message: string, code: string): unknown => translated(new Sqlite.SqliteError(message, code))

test('a CHECK of the library refuses a row that another program broke, and every other one is a conflict', () => {
  expect(names.length).toBeGreaterThan(10)
  for (const name of names)
    expect(codeFor(`CHECK constraint failed: ${name}`, 'SQLITE_CONSTRAINT_CHECK')).toMatchObject({ code: 'CORRUPT' })
  for (const name of ['nodes_extra_flag', 'links_cost', 'units between 1 and 60'])
    expect(codeFor(`CHECK constraint failed: ${name}`, 'SQLITE_CONSTRAINT_CHECK')).toMatchObject({ code: 'CONFLICT' })
})

test('a NOT NULL names its column, and is a conflict in a table of the application', () => {
  const failed = (column: string): unknown =>
    codeFor(`NOT NULL constraint failed: ${column}`, 'SQLITE_CONSTRAINT_NOTNULL')
  expect(failed('nodes.started')).toMatchObject({ code: 'CORRUPT', message: expect.stringContaining('nodes.started') })
  expect(failed('racks.units')).toMatchObject({ code: 'CONFLICT', message: expect.stringContaining('racks.units') })
})
