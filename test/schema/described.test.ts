/** Tables in `meshstore_state`: what was written is read, and a bad row is refused by its name. */
import { describe, expect, test } from 'vitest'
import { quotedName, rowOfTable, tableOfRow, tablesOfRows } from '../../src/schema/described.ts'
import { ALL_TABLES } from '../../src/schema/tables.ts'

const LINKS = {
  name: 'links',
  key: 'link_id',
  columns: [
    { name: 'link_id', kind: 'text', nullable: false },
    { name: 'source', kind: 'text', nullable: false },
    { name: 'up', kind: 'boolean', nullable: true },
  ],
  invalidates: { columns: ['source', 'up'], paths: 'through', through: ['source'] },
}
const text = (change: object = {}): string => JSON.stringify({ ...LINKS, ...change })
const columns = (change: object) => ({
  columns: [...LINKS.columns, { name: 'x', kind: 'text', nullable: true, ...change }],
})

test('a row that was read is written alike', () => {
  const table = tableOfRow('table:links', text())
  expect(table.columns.map(({ name, kind, nullable }) => [name, kind, nullable])).toEqual(
    LINKS.columns.map(({ name, kind, nullable }) => [name, kind, nullable]),
  )
  expect(table.key).toBe(table.columns[0])
  expect(rowOfTable(table)).toEqual(['table:links', text()])
})

test.each(ALL_TABLES)("$name's columns survive", (table) => {
  const [, value] = rowOfTable(table)
  const read = tableOfRow('table:own', value.replace(`"name":"${table.name}"`, '"name":"own"'))
  expect(read.columns.map(({ name, kind }) => [name, kind])).toEqual(
    table.columns.map(({ name, kind }) => [name, kind]),
  )
})

test('other rows are ignored', () => {
  expect(
    tablesOfRows([
      ['change_log', '1'],
      ['table:links', text()],
    ]).map(({ name }) => name),
  ).toEqual(['links'])
})

describe('is refused', () => {
  const bad: readonly (readonly [what: string, value: unknown, row?: string])[] = [
    ['no text', 7],
    ['no JSON', '{'],
    ['no object', '[]'],
    ['another name', text(), 'table:sites'],
    ['a name with a quote', text({ name: 'li"nks' }), 'table:li"nks'],
    ['a name that is too long', text({ name: 'x'.repeat(50) }), `table:${'x'.repeat(50)}`],
    ['a name of ours', text({ name: 'Nodes' }), 'table:Nodes'],
    ['a reserved name', text({ name: 'sqlite_master' }), 'table:sqlite_master'],
    ['an unknown property', text({ sql: 'DROP TABLE nodes' })],
    ['no columns', text({ columns: [] })],
    [
      'too many columns',
      text({ columns: Array.from({ length: 501 }, (_, i) => ({ name: `c${i}`, kind: 'text', nullable: true })) }),
    ],
    ['a column with SQL in its name', text(columns({ name: 'x" FROM nodes; --' }))],
    ['a column rowid', text(columns({ name: 'RowId' }))],
    ['__proto__', text().replace('"source"', '"__proto__"')],
    ['a kind that is unknown', text(columns({ kind: 'blob' }))],
    ['a kind of Object', text(columns({ kind: 'constructor' }))],
    ['a column twice', text(columns({ name: 'LINK_ID' }))],
    ['a key that is no column', text({ key: 'other' })],
    ['a key that is no text', text({ key: 'up' })],
    ['a nullable key', text({ ...columns({}), key: 'x' })],
    ['nullable that is no flag', text(columns({ nullable: 1 }))],
    ['invalidates by an unknown column', text({ invalidates: { columns: ['y'], paths: 'all' } })],
    ['invalidates otherwise', text({ invalidates: { columns: ['source'], paths: 'some' } })],
    ['a value that is too long', text({ columns: 'x'.repeat(300_000) })],
  ]
  test.each(bad)('%s', (_, value, row) => {
    expect(() => tableOfRow(String(row ?? 'table:links'), value)).toThrow(
      expect.objectContaining({ code: 'SCHEMA_MISMATCH', message: expect.stringContaining('meshstore_state') }),
    )
  })

  test('two tables whose names differ by case', () => {
    const rows = [
      ['table:links', text()],
      ['table:LINKS', text({ name: 'LINKS' })],
    ] as const
    expect(() => tablesOfRows(rows)).toThrow(expect.objectContaining({ code: 'SCHEMA_MISMATCH' }))
  })
})

test('a name is quoted', () => {
  expect(quotedName('a"b')).toBe('"a""b"')
})
