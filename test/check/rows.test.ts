/** Rows that break the rules, on each dialect: named by table, key and column, and never by what is in them. */
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { type CheckReport, check } from '../../src/check/index.ts'
import { lastingBackends } from '../support/backends.ts'
import { bundle, node, pathKey, policy } from '../support/samples.ts'
import { kinds, only, type SoundFile, soundFile } from './support/sound.ts'

const SECRET = 'c0ffee-secret'

/** `severity table key column message`, in the order in which they are listed. */
const found = ({ findings }: CheckReport, name: string): string[] =>
  findings
    .filter((finding) => finding.check === name)
    .map(({ severity, table, key, column, message }) => {
      const [, problem = ''] = message.split(`${JSON.stringify(key)} `)
      return `${severity} ${table} ${key} ${column}: ${problem}`
    })

describe.each(lastingBackends.map((backend) => [backend.name, backend] as const))('rows on %s', (_, backend) => {
  test('that cannot be read are errors; that could not be written are warnings', async () => {
    await using opened = await backend.open()
    const { store, other, url } = opened
    await store.nodes.createMany([node('good'), node('bad'), node('odd')])
    await store.policies.create(policy('p'))
    await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'), { ttlSeconds: 60 })
    const clean = await check(url)
    expect(clean.findings.filter(({ check: name }) => name === 'rows')).toEqual([])

    await other.corrupt('nodes', 'bad', { protocols: `{"${SECRET}": 1}`, updated_at: 1e12 })
    await other.corrupt('nodes', 'odd', { interfaces: `["${SECRET.repeat(30)}"]` })
    await other.corrupt('path_cache', 'a:b:3', { bundle_json: `no ${SECRET}`, source: 'c' })
    const report = await check(url)
    expect(found(report, 'rows')).toEqual([
      'error nodes bad protocols: is no JSON array.',
      'error nodes bad updated_at: is no time.',
      'error path_cache a:b:3 bundle_json: is not valid JSON.',
      'warning nodes odd interfaces[0]: must be 1–255 characters.',
      'warning path_cache a:b:3 cache_key: is not made of source, destination and k.',
    ])
    expect(JSON.stringify(report)).not.toContain(SECRET)
    for (const { advice } of report.findings) expect(advice).not.toBe('')
  })

  test('are counted past a hundred of a kind', async () => {
    await using opened = await backend.open()
    const { store, other, url } = opened
    await store.nodes.createMany(Array.from({ length: 130 }, (_, index) => node(`n-${1_000 + index}`)))
    const longer = 'x'.repeat(256)
    await other.execute(
      url.startsWith('sqlite')
        ? `UPDATE nodes SET interfaces = '["${longer}"]'`
        : `UPDATE nodes SET interfaces = '["${longer}"]'::jsonb`,
    )
    const report = await check(url)
    const rows = report.findings.filter((finding) => finding.check === 'rows')
    expect(rows).toHaveLength(101)
    expect(rows.at(-1)).toMatchObject({ message: 'There are 30 more like these.', count: 30 })
    expect(report.counts.warning - report.findings.filter(({ severity }) => severity === 'warning').length).toBe(29)
  })
})

describe('rows of a file that another program wrote', () => {
  const text = (value: string): string => `'${value}'`
  const ROW = { interfaces: text('[]'), protocols: text('[]'), routes: '0' }
  const insert = ({ execute }: SoundFile, id: string, row: Partial<typeof ROW>): void => {
    const { interfaces, protocols, routes } = { ...ROW, ...row }
    execute(`INSERT INTO nodes VALUES (${id}, ${interfaces}, ${protocols}, 0, ${routes}, 1.5, 2.5)`)
  }

  test.each<[string, string, Partial<typeof ROW>, string, string]>([
    ['what is no UTF-8', "CAST(x'61ff' AS TEXT)", {}, 'node_id', 'is no UTF-8'],
    ['a list of numbers', "'a'", { interfaces: text('[1]') }, 'interfaces', 'is no JSON array of strings'],
    ['64 bits', "'a'", { routes: '9223372036854775807' }, 'routes_discovered', 'is too large an integer'],
    ['a blob', "x'61'", {}, 'node_id', 'is no text'],
  ])('%s cannot even be read', async (_, id, row, column, message) => {
    using sound = await soundFile()
    insert(sound, id, row)
    const report = await check(sound.path)
    expect(kinds(report)).toEqual(['error rows'])
    expect(only(report, 'error', 'rows')).toMatchObject({ column, message: expect.stringContaining(message) })
  })

  test('what fits to the last bit does', async () => {
    using sound = await soundFile()
    insert(sound, "'😀' || char(1, 0xfffd)", {
      interfaces: text('["\\ud83d\\ude00", ""]'.replace(', ""', '')),
      routes: '2147483647',
    })
    const raw = new Sqlite(sound.path)
    raw.exec('UPDATE nodes SET created_at = -253402300799, updated_at = -0.0')
    raw.close()
    expect((await check(sound.path)).findings).toEqual([])
  })
})
