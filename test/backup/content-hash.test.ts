/** The hash over what a database holds: the same for the same content however it is written, and another for any other. */
import Sqlite from 'better-sqlite3'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Content, contentOf } from '../../src/rows/content-hash.ts'
import { assertProperty } from '../support/properties.ts'

type Value = string | number | bigint | null | Buffer
type Rows = { nodes?: Value[][]; policies?: Value[][]; paths?: Value[][] }

/** Without types, CHECKs and keys: what another program may have made. */
const TABLES = `
  CREATE TABLE nodes (node_id, interfaces, protocols, started, routes_discovered, created_at, updated_at);
  CREATE TABLE policies (policy_id, yaml_content, rules_count, created_at, updated_at);
  CREATE TABLE path_cache (cache_key, source, destination, k, bundle_json, created_at, expires_at);`

async function hashOf({ nodes = [], policies = [], paths = [] }: Rows): Promise<Content> {
  const raw = new Sqlite(':memory:')
  try {
    raw.exec(TABLES)
    const into = (table: string, rows: Value[][]): void => {
      for (const row of rows) raw.prepare(`INSERT INTO ${table} VALUES (${row.map(() => '?').join()})`).run(row)
    }
    into('nodes', nodes)
    into('policies', policies)
    into('path_cache', paths)
    return await contentOf(raw)
  } finally {
    raw.close()
  }
}

const node = (...row: Value[]): Value[] => {
  const rest = ['n', '[]', '[]', 0n, 0n, 1.5, 2.5].slice(row.length)
  return [...row, ...rest]
}
const policy = (text: Value, id: Value = 'p'): Value[] => [id, text, 1n, 1.5, 2.5]
const sameAs = async (one: Rows, other: Rows): Promise<boolean> =>
  JSON.stringify(await hashOf(one)) === JSON.stringify(await hashOf(other))

describe('is the same', () => {
  const texts: Record<string, [string, string]> = {
    'as Python and as PostgreSQL space a list': ['["a", "b"]', '["a","b"]'],
    'with any blanks': ['[ "a" ,\n\t"b" ]', '["a","b"]'],
    'with escaped letters': ['["\\u00e4\\/"]', '["ä/"]'],
    'for an empty list': ['[ ]', '[]'],
  }
  test.each(Object.entries(texts))('%s', async (_, [one, other]) => {
    expect(await sameAs({ nodes: [node('n', one, one)] }, { nodes: [node('n', other, other)] })).toBe(true)
  })

  test('in whatever order the rows were written', async () => {
    const rows = ['b', 'ä', 'a', '😀', 'B'].map((id) => node(id))
    expect(await sameAs({ nodes: rows }, { nodes: rows.toReversed() })).toBe(true)
  })

  test('for a time that is a whole number, as an integer and as a float', async () => {
    const at = (time: Value): Rows => ({ policies: [['p', '', 1n, time, time]] })
    expect(await sameAs(at(5n), at(5))).toBe(true)
  })
})

describe('is another', () => {
  const different: Record<string, [Rows, Rows]> = {
    'where a boundary between two columns is shifted': [
      { nodes: [node('ab', '["c"]')] },
      { nodes: [node('a', 'b["c"]')] },
    ],
    'where a boundary between two rows is shifted': [
      { policies: [policy('x', 'a'), policy('y', 'b')] },
      { policies: [policy('xb', 'a'), policy('y', '')] },
    ],
    'for a text and a list of the same letters': [{ policies: [policy('[ ]')] }, { policies: [policy('[]')] }],
    'for nothing and a text that says so': [{ policies: [policy(null)] }, { policies: [policy('null')] }],
    'for a text and bytes that are equal': [{ policies: [policy('a')] }, { policies: [policy(Buffer.from('a'))] }],
    'for no bytes and nothing': [{ policies: [policy(Buffer.alloc(0))] }, { policies: [policy(null)] }],
    'for a number and a text in its place': [
      { nodes: [node('n', '[]', '[]', 1n)] },
      { nodes: [node('n', '[]', '[]', '1')] },
    ],
    'for a count with a fraction': [
      { nodes: [node('n', '[]', '[]', 0n, 7n)] },
      { nodes: [node('n', '[]', '[]', 0n, 7.5)] },
    ],
    'for integers that a number cannot tell apart': [
      { nodes: [node('n', '[]', '[]', 0n, 9_007_199_254_740_992n)] },
      { nodes: [node('n', '[]', '[]', 0n, 9_007_199_254_740_993n)] },
    ],
    'for the last bit of a time': [
      { nodes: [node('n', '[]', '[]', 0n, 0n, 1_762_300_800.123_456)] },
      { nodes: [node('n', '[]', '[]', 0n, 0n, 1_762_300_800.123_456_2)] },
    ],
    'for the sign of zero': [
      { nodes: [node('n', '[]', '[]', 0n, 0n, 0)] },
      { nodes: [node('n', '[]', '[]', 0n, 0n, -0)] },
    ],
    'for a row that is there twice': [{ nodes: [node('n')] }, { nodes: [node('n'), node('n')] }],
    'for a row without a key': [{ nodes: [node('n')] }, { nodes: [node('n'), node(null)] }],
    'for the order in a list': [{ nodes: [node('n', '["a","b"]')] }, { nodes: [node('n', '["b","a"]')] }],
  }
  test.each(Object.entries(different))('%s', async (_, [one, other]) => {
    expect(await sameAs(one, other)).toBe(false)
  })
})

test('counts every row, also many with one key, none, or one that no number can hold', {
  timeout: 30_000,
}, async () => {
  const keys: Value[] = [9_007_199_254_740_993n, 9_007_199_254_740_995n, null, null, Buffer.from('x'), 1.5, 'n']
  const nodes = [...keys.map((key) => node(key)), ...Array.from({ length: 2_000 }, () => node('same'))]
  expect((await hashOf({ nodes })).tables.nodes.rows).toBe(nodes.length)
})

test('of two random contents is the same only if they are', async () => {
  const value: fc.Arbitrary<Value> = fc.oneof(
    fc.constantFrom('', 'a', 'b', 'ab', '[]', 'null', '\0', 'a\0b'),
    fc.constantFrom<Value>(null, 0, -0, 1, 1.5, 0n, 1n, 97n),
    fc.constantFrom(Buffer.alloc(0), Buffer.from('a'), Buffer.from('ab'), Buffer.alloc(8)),
  )
  const rows = fc.array(fc.tuple(value, value, value, value, value), { minLength: 1, maxLength: 3 })
  // A time may be an integer, or a float, of the same value.
  const exact = (all: Value[][]): string =>
    JSON.stringify(
      all.map((row) => JSON.stringify(row.map((each, column) => shown(column > 2 ? timed(each) : each)))).sort(),
    )
  let same = 0
  const property = fc.asyncProperty(rows, rows, fc.boolean(), async (one, another, again) => {
    const other = again ? one.toReversed() : another
    const equal = exact(one) === exact(other)
    if (equal) same++
    const hashes = await sameAs({ policies: one }, { policies: other })
    // Rows with one key have the order in which they were written.
    if (!equal) expect(hashes).toBe(false)
    else if (new Set(one.map(([key]) => String(timed(key ?? null)))).size === one.length) expect(hashes).toBe(true)
  })
  await assertProperty('content hash', property, { runs: 400 })
  console.log(`${same} of the pairs were equal`)
  expect(same).toBeGreaterThan(0)
})

const timed = (value: Value): Value => (typeof value === 'bigint' ? Number(value) : value)

function shown(value: Value): string {
  if (Buffer.isBuffer(value)) return `blob ${value.toString('hex')}`
  return Object.is(value, -0) ? '-0' : `${typeof value} ${value}`
}
