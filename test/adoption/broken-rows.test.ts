/** Rows that cannot be kept: they stop the adoption, each named with its column, or go to a file from which they come back. */
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { inspect, up } from '../../src/open/migrate.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { Bytes, type Row, Str } from './support/cells.ts'
import { bareDriver, contentOf, makeFile, openPython, python } from './support/client.ts'
import { DDL, NOW, nodeRow, pathRow, policyRow } from './support/ddl.ts'
import { quarantinedIn, restored } from './support/quarantined.ts'
import { changingNothing } from './support/unchanged.ts'

const blob = Buffer.from('[]')
/** A text whose only character is half of one. */
const half = new Bytes(0xed, 0xa0, 0x80)
const noUtf8 = new Bytes(0x5b, 0x22, 0xff, 0x22, 0x5d)
const BAD_TIMES = {
  'a text': 'yesterday',
  Infinity: Number.POSITIVE_INFINITY,
  '-Infinity': Number.NEGATIVE_INFINITY,
  'a time after the year 9999': 253_402_300_799.001,
  milliseconds: NOW * 1000,
  'a blob': blob,
  'an empty text': '',
}
const BAD_LISTS = {
  'no JSON': 'eth0',
  'an empty text': '',
  'an object': '{}',
  'a text in JSON': '"eth0"',
  null: 'null',
  'a number among strings': '["eth0", 1]',
  'null among strings': '["eth0", null]',
  'a list in a list': '[["eth0"]]',
  'a blob': blob,
  "Python's str()": new Str('eth0', 'wlan0'),
  "Python's str() with True": new Str('eth0', true),
  "Python's True in JSON": '["eth0", True]',
  'a comma too many': '["eth0",]',
  'something behind': '["eth0"] x',
  'NUL behind': '[]\0',
  'a byte order mark': '\ufeff[]',
  'no UTF-8': noUtf8,
  'half a character': new Bytes(0x5b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x5d),
  'an integer': 5n,
}
const BAD_IDS = {
  NULL: null,
  'an empty text': '',
  'a blob': Buffer.from('gw-1'),
  NUL: 'gw\0-1',
  'NUL behind': 'gw\0',
  '256 characters': 'x'.repeat(256),
  '256 characters of two units': '\u{1f600}'.repeat(256),
  'no UTF-8': noUtf8,
  'half a character': half,
}
const BAD_INTEGERS = {
  'a text': 'seven',
  'a real': 0.5,
  'a large real': 1e300,
  'a real beyond 2^63': 1e19,
  'a blob': blob,
  'an integer beyond 2^53': 2n ** 53n,
  'the largest integer': 2n ** 63n - 1n,
  Infinity: Number.POSITIVE_INFINITY,
}

interface Bad {
  readonly row: Row
  readonly column: string
  readonly name: string
}

/** One bad value in an otherwise good row. */
function bad(row: (given: object) => Row, key: string, column: string, values: object): Bad[] {
  return Object.entries(values).map(([name, value]) => {
    const id = column === key ? {} : { [key]: `${column} ${name.replaceAll(':', '')}` }
    return { column, name: `${row({}).table}.${column}: ${name}`, row: row({ ...id, [column]: value }) }
  })
}

const BAD: readonly Bad[] = [
  ...bad(nodeRow, 'node_id', 'node_id', BAD_IDS),
  ...bad(nodeRow, 'node_id', 'interfaces', BAD_LISTS),
  ...bad(nodeRow, 'node_id', 'protocols', BAD_LISTS),
  ...bad(nodeRow, 'node_id', 'started', {
    maybe: 'maybe',
    "Python's True as a text": 'True',
    2: 2n,
    '-1': -1n,
    'a half': 0.5,
    'a blob': blob,
    'an empty text': '',
    Infinity: Number.POSITIVE_INFINITY,
  }),
  ...bad(nodeRow, 'node_id', 'routes_discovered', BAD_INTEGERS),
  ...bad(nodeRow, 'node_id', 'created_at', BAD_TIMES),
  ...bad(nodeRow, 'node_id', 'updated_at', BAD_TIMES),
  ...bad(policyRow, 'policy_id', 'policy_id', BAD_IDS),
  ...bad(policyRow, 'policy_id', 'yaml_content', { 'a blob': blob, 'no UTF-8': noUtf8, 'half a character': half }),
  ...bad(policyRow, 'policy_id', 'rules_count', BAD_INTEGERS),
  ...bad(policyRow, 'policy_id', 'created_at', BAD_TIMES),
  ...bad(policyRow, 'policy_id', 'updated_at', BAD_TIMES),
  ...bad(pathRow, 'source', 'cache_key', {
    NULL: null,
    'without k': 'gw-1:gw-9',
    'another k': 'gw-1:gw-9:4',
    'a blob': Buffer.from('gw-1:gw-9:3'),
    'an empty text': '',
    'capitals and blanks': 'gw-1:gw-9:3 ',
  }),
  ...bad(pathRow, 'destination', 'source', BAD_IDS).filter(({ name }) => !name.endsWith('NULL')),
  ...bad(pathRow, 'source', 'destination', BAD_IDS).filter(({ name }) => !name.endsWith('NULL')),
  ...bad(pathRow, 'source', 'k', { 0: 0n, '-1': -1n, 1001: 1_001n, '2^62': 2n ** 62n, ...BAD_INTEGERS }),
  ...bad(pathRow, 'source', 'bundle_json', { ...BAD_LISTS, 'a list': '[]', 'an object': '{"a": NaN}' }),
  ...bad(pathRow, 'source', 'created_at', BAD_TIMES),
  ...bad(pathRow, 'source', 'expires_at', BAD_TIMES),
].map((each) => withUniqueKey(each))

/** Gives the row a key of its own: a row with another row's key would not be stored, and a wrong key makes no row wrong. */
function withUniqueKey(each: Bad): Bad {
  const ids = { source: 0, destination: 0, k: 0 }
  if (each.row.table !== 'path_cache' || !(each.column in ids)) return each
  const [, ...values] = each.row.values
  return { ...each, row: { ...each.row, values: [`key of ${each.name}`, ...values] } }
}

const GOOD: readonly Row[] = [
  nodeRow({ node_id: 'good' }),
  policyRow({ policy_id: 'good' }),
  pathRow({ source: 'good' }),
]
/** Good rows between the bad ones. */
const MIXED: readonly Row[] = [...GOOD, ...BAD.map(({ row }) => row), policyRow({ policy_id: 'last' })]
/** JSON writes it like an integer, which no integer of SQLite's can hold. */
const isBeyond = ({ name }: Bad): boolean => name.endsWith('beyond 2^63')

const DROPPED: readonly Row[] = ['fe80::1', '%', ':', 'a%3Ab', '::'].flatMap((id) => [
  pathRow({ source: id }),
  pathRow({ destination: id, bundle_json: 'no JSON either' }),
])

describe('a row that cannot be kept', () => {
  test.each(BAD)('stops the adoption, and nothing is changed: $name', async ({ row, column }) => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [...GOOD, row], { by: bareDriver })
    const error = await changingNothing(folder.path, () => expectCode(openStorage(path), 'SCHEMA_MISMATCH'))
    expect(error.issues.map(({ path: where }) => where.split(' ').at(-1))).toContain(column)
    expect(error.message).toContain('1 of its rows cannot be kept')
    expect(error.message).toContain('--quarantine')
  })
})

describe('with --quarantine', () => {
  test('all of them go to the file, with all their values, and the others stay', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [...MIXED, ...DROPPED])
    const before = contentOf(path)
    const file = folder.file('rows.ndjson')
    const { adoption, quarantine, backup = '' } = await up(path, { quarantine: file })
    expect(quarantine).toBe(file)
    expect(contentOf(backup)).toEqual(before)

    const after = contentOf(path)
    const out = restored(file)
    for (const table of ['nodes', 'policies', 'path_cache'] as const) {
      const { kept = 0, refused = 0, dropped = 0 } = adoption?.tables.find((each) => each.table === table) ?? {}
      expect(kept + refused + dropped, table).toBe(before[table].length)
      expect(kept, table).toBe(after[table].length)
      expect(refused, table).toBe(BAD.filter(({ row }) => row.table === table).length)
      expect(refused, table).toBe(out[table].length)
      expect(dropped, table).toBe(table === 'path_cache' ? DROPPED.length : 0)
      // Row by row, to the bit, every value: what is in the file comes back as it was.
      for (const row of [...out[table], ...after[table]])
        expect(row).toEqual(before[table].find(({ rowid }) => rowid === row.rowid))
    }
  })

  test('each line says which table, row, columns and reasons', async () => {
    using folder = temporaryFolder()
    const path = await makeFile(folder.file('mesh.db'), [
      ...GOOD,
      nodeRow({ node_id: 'two', created_at: 'x', started: 'maybe', rowid: -5n }),
    ])
    const status = await inspect(path)
    await up(path, { quarantine: folder.file('rows.ndjson') })
    const [line, ...more] = quarantinedIn(folder.file('rows.ndjson'))
    expect(more).toEqual([])
    expect(line).toMatchObject({ table: 'nodes', rowid: -5 })
    expect(line?.problems).toEqual([
      { column: 'started', message: 'is neither 0 nor 1' },
      { column: 'created_at', message: 'is no time' },
    ])
    expect(line?.values).toMatchObject({ node_id: 'two', started: 'maybe', created_at: 'x', updated_at: NOW + 1 })
    // The report says the same before anything is done.
    expect(status.adoption?.problems).toEqual(
      line?.problems.map((problem) => ({ table: 'nodes', rowid: '-5', key: 'two', ...problem })),
    )
  })

  // That there is no Python is said where it is looked for.
  test.runIf(python).each([
    ['all of them but reals beyond 2^63', BAD.filter((each) => !isBeyond(each))],
    ['reals beyond 2^63', BAD.filter(isBeyond)],
  ])('Python puts back what it reads from the file as JSON: %s', async (_, some) => {
    using folder = temporaryFolder()
    const rows = some.map(({ row }) => row)
    const path = await makeFile(folder.file('mesh.db'), rows)
    const before = contentOf(path)
    const file = folder.file('rows.ndjson')
    await up(path, { quarantine: file })
    await using application = openPython(folder.file('back.db'))
    await application.execute(DDL)
    await application.restore(file)
    await application[Symbol.asyncDispose]()
    expect(contentOf(folder.file('back.db'))).toEqual(before)
  })
})

test('a cached path whose ids hold : or % is dropped, and counted', async () => {
  using folder = temporaryFolder()
  const path = await makeFile(folder.file('mesh.db'), [...GOOD, ...DROPPED])
  const before = contentOf(path)
  const { adoption } = await up(path)
  expect(adoption?.tables[2]).toMatchObject({ table: 'path_cache', kept: 1, dropped: DROPPED.length, refused: 0 })
  const after = contentOf(path)
  expect(after).toEqual({ ...before, path_cache: before.path_cache.filter(({ rowid }) => rowid === 1n) })
})

test('of very many, the error and the report name the first; the count is of all', async () => {
  using folder = temporaryFolder()
  const rows = Array.from({ length: 3_000 }, (_, index) => nodeRow({ node_id: `n-${index}`, started: 'maybe' }))
  const path = await makeFile(folder.file('mesh.db'), rows)
  const error = await expectCode(openStorage(path), 'SCHEMA_MISMATCH')
  expect(error.message).toContain('3000 of its rows')
  expect(error.message.length).toBeLessThan(600)
  expect(error.issues).toHaveLength(1_000)
  await up(path, { quarantine: folder.file('rows.ndjson') })
  expect(quarantinedIn(folder.file('rows.ndjson'))).toHaveLength(3_000)
})
