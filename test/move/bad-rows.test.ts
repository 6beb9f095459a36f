/** Rows that cannot live in the target are listed before anything is changed, and never lost. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { copyDatabase, type RefusedRow } from '../../src/index.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import type { Row, Table } from '../support/other-program.ts'
import { counts, filled, type Place, postgres, sqlite, TABLES } from './support/places.ts'
import { plain } from './support/rows.ts'

const SOUND = 40

/** Changes to a row by another program, past the CHECKs, and what is then wrong with it. */
const BROKEN: readonly (readonly [Table, string, Row, column: string, message: RegExp])[] = [
  ['nodes', 'n-0', { interfaces: '["a\\u0000b"]' }, 'interfaces', /NUL/],
  ['nodes', 'n-1', { protocols: '["\\ud800"]' }, 'protocols', /Unicode/],
  ['nodes', 'n-2', { routes_discovered: 2_147_483_648 }, 'routes_discovered', /integer/],
  ['nodes', 'n-3', { routes_discovered: 9_007_199_254_740_993n }, 'routes_discovered', /integer/],
  ['nodes', 'n-4', { created_at: Number.POSITIVE_INFINITY }, 'created_at', /no time/],
  ['nodes', 'n-5', { updated_at: 2 ** 52 }, 'updated_at', /no time/],
  ['nodes', 'n-6', { updated_at: 'yesterday' }, 'updated_at', /no time/],
  ['nodes', 'n-7', { interfaces: '[1]' }, 'interfaces', /strings/],
  ['nodes', 'n-8', { protocols: 'none' }, 'protocols', /JSON/],
  ['nodes', 'n-9', { started: 2 }, 'started', /neither/],
  ['nodes', 'n-10', { node_id: 'a\0b' }, 'node_id', /NUL/],
  ['nodes', 'n-11', { node_id: Buffer.from('bytes') }, 'node_id', /no text/],
  ['nodes', 'n-12', { node_id: 'x'.repeat(3_000) }, 'node_id', /index/],
  ['policies', 'p-0', { yaml_content: 'a: "\0"' }, 'yaml_content', /NUL/],
  ['policies', 'p-1', { yaml_content: Buffer.from([1, 2, 255]) }, 'yaml_content', /no text/],
  ['policies', 'p-2', { rules_count: 1.5 }, 'rules_count', /integer/],
  ['path_cache', 's-0:z:1', { k: 0 }, 'k', /at least 1/],
  ['path_cache', 's-1:z:3', { bundle_json: '{"a": "\0"}' }, 'bundle_json', /NUL/],
  ['path_cache', 's-2:z:1000', { source: 's'.repeat(2_000), destination: 'd'.repeat(2_000) }, 'source', /index/],
]

/** A text that is no UTF-8 can be written as a blob that is cast alone. */
const NO_UTF8 = `UPDATE policies SET yaml_content = CAST(x'61ff' AS TEXT) WHERE policy_id = 'p-3'`

async function broken(): Promise<Place> {
  const place = await filled(await sqlite.open(), plain(SOUND))
  for (const [table, key, change] of BROKEN) await place.other.corrupt(table, key, change)
  await place.other.execute(NO_UTF8)
  return place
}

const BAD = BROKEN.length + 1
const total = (of: Record<Table, number>): number => TABLES.reduce((sum, table) => sum + of[table], 0)

interface Line {
  readonly table: Table
  readonly rowid: number
  readonly problems: readonly { readonly column: string; readonly message: string }[]
  readonly values: Readonly<Record<string, unknown>>
}
const linesOf = (file: string): Line[] =>
  readFileSync(file, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

describePostgres('from SQLite to PostgreSQL', () => {
  test('they are listed with table, key and reason, and nothing is changed', async () => {
    await using source = await broken()
    await using target = await postgres.open()
    const refused: RefusedRow[] = []
    const error = await expectCode(
      copyDatabase(source.url, target.url, { onRefused: (row) => refused.push(row) }),
      'CORRUPT',
    )
    expect(error.message).toMatch(new RegExp(`^${BAD} rows cannot live in PostgreSQL; nothing was changed\\.`))
    expect(error.issues).toHaveLength(BAD)
    for (const [table, key, change, column, message] of BROKEN) {
      const id = Object.values(change).length === 1 && column.endsWith('_id') ? Object.values(change)[0] : key
      const found = refused.filter((row) => row.table === table && row.column === column && message.test(row.message))
      const shown = typeof id === 'string' ? JSON.stringify(id).slice(0, 60) : '(a key that is no text)'
      expect(
        found.some((row) => row.key.startsWith(shown)),
        `${table} ${key} ${column}`,
      ).toBe(true)
    }
    expect(refused).toContainEqual({ table: 'policies', key: '"p-3"', column: 'yaml_content', message: 'is no UTF-8' })
    expect(refused).toHaveLength(BAD)
    // No values, whatever they are.
    expect(JSON.stringify([error.message, error.issues])).not.toContain('yesterday')
    // Nothing: not even tables.
    expect(await copyDatabase(source.url, target.url, { dryRun: true })).toMatchObject({ migrated: [] })
    await expect(target.other.rows('nodes')).rejects.toThrow()
  })

  test('with a quarantine the others are copied: those in are those copied and those written out', async () => {
    await using source = await broken()
    await using target = await postgres.open()
    using folder = temporaryFolder()
    const quarantine = folder.file('bad.ndjson')
    const before = await counts(source)
    const rehearsed = await copyDatabase(source.url, target.url, { quarantine, dryRun: true })
    expect(existsSync(quarantine)).toBe(false)
    const report = await copyDatabase(source.url, target.url, { quarantine })
    const refused = Object.values(report.tables).map((table) => table?.refused)
    expect(Object.values(rehearsed.tables).map((table) => table?.refused)).toEqual(refused)
    expect(Object.values(rehearsed.tables).map((table) => table?.rows)).toEqual(
      Object.values(report.tables).map((table) => table?.rows),
    )
    expect(refused).toEqual([13, 4, 3])
    expect(report.quarantine).toBe(quarantine)
    const lines = linesOf(quarantine)
    expect(lines).toHaveLength(BAD)
    expect(total(await counts(target)) + lines.length).toBe(total(before))
    for (const table of TABLES) {
      const there = (await target.other.rows(table)).length
      expect(there + lines.filter((line) => line.table === table).length).toBe(before[table])
    }
    if (process.platform !== 'win32') expect(statSync(quarantine).mode & 0o777).toBe(0o600)
    expect(await counts(source)).toEqual(before)
  })

  test('what is written out is exact: from it each row can be made again', async () => {
    await using source = await broken()
    await using target = await postgres.open()
    using folder = temporaryFolder()
    const quarantine = folder.file('bad.ndjson')
    await copyDatabase(source.url, target.url, { quarantine })
    const lines = linesOf(quarantine)
    for (const table of TABLES) {
      for (const row of await source.other.rows(table)) {
        const key = Object.values(row)[0]
        const line = lines.find((each) => each.table === table && Object.values(each.values)[0] === key)
        if (line === undefined) continue
        for (const [column, value] of Object.entries(row)) {
          const said = line.values[column]
          if (typeof said === 'object') continue
          expect(said, `${table} ${String(key)} ${column}`).toEqual(value)
        }
      }
    }
    const said = (id: string): Line | undefined => lines.find((line) => Object.values(line.values)[0] === id)
    expect(said('n-3')?.values.routes_discovered).toEqual({ integer: '9007199254740993' })
    expect(said('n-4')?.values.created_at).toEqual({ real: 'Infinity' })
    expect(said('p-1')?.values.yaml_content).toEqual({ blob: Buffer.from([1, 2, 255]).toString('base64') })
    expect(said('p-3')?.values.yaml_content).toEqual({ text: Buffer.from([0x61, 0xff]).toString('base64') })
    expect(said('a\0b')).toBeDefined()
    for (const line of lines) expect(line.problems.length).toBeGreaterThan(0)
  })

  test('a file that says the same will do, as after a copy that was killed; any other is left alone', async () => {
    await using source = await broken()
    using folder = temporaryFolder()
    const quarantine = folder.file('bad.ndjson')
    {
      await using target = await postgres.open()
      await copyDatabase(source.url, target.url, { quarantine })
    }
    const text = readFileSync(quarantine, 'utf8')
    await using again = await postgres.open()
    await copyDatabase(source.url, again.url, { quarantine })
    expect(readFileSync(quarantine, 'utf8')).toBe(text)
    const theirs = folder.write('theirs.txt', 'mine')
    await using third = await postgres.open()
    await expectCode(copyDatabase(source.url, third.url, { quarantine: theirs }), 'CONFIG')
    expect(readFileSync(theirs, 'utf8')).toBe('mine')
    expect(total(await counts(third))).toBe(0)
  })

  test('a row that only breaks a rule at the door is copied: it lives there as it does here', async () => {
    await using source = await filled(await sqlite.open(), plain(3))
    await source.other.corrupt('nodes', 'n-0', { node_id: 'x'.repeat(300) })
    await source.other.corrupt('policies', 'p-0', { yaml_content: 'y'.repeat(2_000_000) })
    await source.other.corrupt('path_cache', 's-0:z:1', { k: 5_000, bundle_json: 'no JSON' })
    await using target = await postgres.open()
    expect(await copyDatabase(source.url, target.url)).toMatchObject({ tables: { nodes: { rows: 3, refused: 0 } } })
    for (const table of ['policies', 'path_cache'] as const)
      expect(await target.other.rows(table)).toEqual(await source.other.rows(table))
  })

  test('of nothing but bad rows none is lost either', async () => {
    await using source = await filled(await sqlite.open(), plain(1))
    await source.other.corrupt('nodes', 'n-0', { started: 7 })
    await source.other.corrupt('policies', 'p-0', { yaml_content: '\0' })
    await source.other.corrupt('path_cache', 's-0:z:1', { k: -1 })
    await using target = await postgres.open()
    using folder = temporaryFolder()
    await copyDatabase(source.url, target.url, { quarantine: folder.file('bad') })
    expect(total(await counts(target))).toBe(0)
    expect(linesOf(folder.file('bad'))).toHaveLength(3)
  })
})

describePostgres('from PostgreSQL to SQLite', () => {
  test('a row past the constraints is listed, or written out', async () => {
    await using source = await filled(await postgres.open())
    await source.fill(plain(4).map(([table, row]) => [table, 'started' in row ? { ...row, started: 't' } : row]))
    await source.other.corrupt('nodes', 'n-0', { created_at: Number.NaN })
    await source.other.corrupt('nodes', 'n-1', { interfaces: '{"no": "list"}' })
    await source.other.corrupt('path_cache', 's-0:z:1', { k: 0 })
    await using target = await sqlite.open()
    const { issues } = await expectCode(copyDatabase(source.url, target.url), 'CORRUPT')
    expect(issues.map(({ path, message }) => `${path} ${message}`)).toEqual([
      'nodes "n-0" created_at is no time',
      'nodes "n-1" interfaces is no JSON array',
      'path_cache "s-0:z:1" k must be at least 1',
    ])
    expect(existsSync(target.url)).toBe(false)
    using folder = temporaryFolder()
    await copyDatabase(source.url, target.url, { quarantine: folder.file('bad') })
    expect(await counts(target)).toEqual({ nodes: 2, policies: 4, path_cache: 3 })
    const lines = linesOf(folder.file('bad'))
    expect(lines.map(({ table }) => table)).toEqual(['nodes', 'nodes', 'path_cache'])
    expect(lines[0]?.values).toMatchObject({ node_id: 'n-0', started: true, created_at: { real: 'NaN' } })
    expect(lines[0]).not.toHaveProperty('rowid')
  })
})

describe('from SQLite to SQLite', () => {
  test('what SQLite can hold and PostgreSQL cannot is copied', async () => {
    await using source = await filled(await sqlite.open(), plain(2))
    await source.other.corrupt('nodes', 'n-0', { node_id: 'a\0b', routes_discovered: 2 ** 40 })
    await source.other.corrupt('policies', 'p-0', { yaml_content: 'a\0b' })
    await using target = await sqlite.open()
    await copyDatabase(source.url, target.url)
    expect(await target.other.rows('policies')).toEqual(await source.other.rows('policies'))
    expect((await target.other.rows('nodes')).map(({ node_id }) => node_id)).toEqual(['a\0b', 'n-1'])
  })

  test('the quarantine must be neither of the databases', async () => {
    await using source = await filled(await sqlite.open(), plain(1))
    await using target = await filled(await sqlite.open())
    for (const file of [source.url, target.url, `${source.url}-wal`])
      await expectCode(copyDatabase(source.url, target.url, { quarantine: file }), 'CONFIG')
  })
})
