/** Every line that is refused is named by its number, with column and reason; and nothing is imported. */
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { lastingBackends } from '../support/backends.ts'
import { contentHash } from '../support/content.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { exported, fileOf, imported, nodeLine, pathLine, policyLine } from './support/transferred.ts'

const SECRET = 'not-to-be-seen'
const TIME = 'must be a number of seconds since 1970, up to the year 9999'

const CASES: readonly (readonly [row: Readonly<Record<string, unknown>> | string, ...problems: string[]])[] = [
  ['{ no json', 'is no JSON'],
  [[] as never, 'must be an object'],
  [{ table: SECRET }, "table must be nodes, policies or path_cache: the application's migrations make own tables"],
  [nodeLine(''), 'node_id must be 1–255 characters'],
  [nodeLine('\ud800'), 'node_id must be well-formed Unicode'],
  [
    nodeLine('i', { interfaces: ['a', 3, SECRET.repeat(99)] }),
    'interfaces[1] must be a string',
    'interfaces[2] must be 1–255 characters',
  ],
  [nodeLine('p', { protocols: SECRET }), 'protocols must be a list of strings'],
  [nodeLine('s', { started: SECRET }), 'started must be true or false'],
  [
    nodeLine('r', { routes_discovered: 2 ** 31 }),
    'routes_discovered must be an integer from -2147483648 to 2147483647',
  ],
  [nodeLine('t', { created_at: '1', updated_at: 1e12 }), `created_at ${TIME}`, `updated_at ${TIME}`],
  [nodeLine('m', { protocols: undefined }), 'protocols is missing'],
  [nodeLine('x', { owner: SECRET }), 'owner is no column of the table'],
  [policyLine('y', { yaml_content: 'a\0' }), 'yaml_content must not contain NUL'],
  [policyLine('z', { yaml_content: 'ä'.repeat(600_000) }), 'yaml_content must not be larger than 1048576 bytes'],
  [policyLine('c', { rules_count: null }), 'rules_count must be an integer from -2147483648 to 2147483647'],
  [pathLine('k', { k: 0 }), 'k must be an integer from 1 to 1000'],
  [pathLine('q', { cache_key: 'q:z:4' }), 'cache_key is not source:destination:k'],
  [pathLine('j', { bundle_json: SECRET }), 'bundle_json must be valid JSON'],
  [pathLine('o', { bundle_json: { source: 'o' } }), 'bundle_json must be a string'],
  [
    pathLine('b', { bundle_json: '{"source":"b","destination":"z","primary":[{}]}' }),
    'bundle_json.primary[0].nodes must be a list of node ids',
  ],
]

describe.each(lastingBackends)('on $name', (backend) => {
  test('each broken line, and none of the sound ones', async () => {
    await using opened = await backend.open()
    const before = await contentHash(opened)
    const lines = CASES.map(([row]) => row)
    const file = fileOf([nodeLine('sound'), ...(lines as object[] as Record<string, unknown>[])])
    const { report, refused } = await imported(opened.url, withCounts(file, 13, 3, 5))
    expect(refused).toEqual(
      CASES.flatMap(([, ...problems], index) => problems.map((problem) => `${index + 3} ${problem}`)),
    )
    expect(report).toMatchObject({ imported: false, refused: CASES.length })
    expect(refused.join()).not.toContain(SECRET)
    expect(await contentHash(opened)).toBe(before)
    // The others on request.
    const { report: skipping } = await imported(opened.url, withCounts(file, 13, 3, 5), { skipRefused: true })
    expect(skipping).toMatchObject({ imported: true, refused: CASES.length, rows: { nodes: { added: 1 } } })
    expect((await opened.store.nodes.get('sound'))?.routesDiscovered).toBe(3)
  })

  test.each(['error', 'skip', 'replace'] as const)('keys that are there, with --on-conflict %s', async (onConflict) => {
    await using opened = await backend.open()
    await imported(opened.url, fileOf([nodeLine('a'), policyLine('a')]))
    const change = { routes_discovered: 8, created_at: 5 }
    const file = fileOf([nodeLine('b'), nodeLine('a', change), policyLine('a', { rules_count: 9 }), pathLine('a')])
    const { report, refused } = await imported(opened.url, file, { onConflict })
    const { rows } = await exported(opened.url)
    const a = await opened.other.row('nodes', 'a')
    if (onConflict === 'error') {
      expect(refused).toEqual(['3 is there already', '4 is there already'])
      expect(report).toMatchObject({ imported: false, refused: 2 })
      expect(rows).toHaveLength(2)
      const { report: skipping } = await imported(opened.url, file, { skipRefused: true })
      expect(skipping).toMatchObject({
        imported: true,
        refused: 2,
        rows: { nodes: { added: 1 }, path_cache: { added: 1 } },
      })
    } else {
      expect(report).toMatchObject({ imported: true, refused: 0 })
      const kept = onConflict === 'skip'
      expect(report.rows.nodes).toEqual({ added: 1, replaced: kept ? 0 : 1, skipped: kept ? 1 : 0, repeated: 0 })
      expect(a).toMatchObject(kept ? { routes_discovered: 3 } : change)
      expect(rows).toHaveLength(4)
    }
  })

  test.each([
    ['error', undefined],
    ['skip', 1],
    ['replace', 3],
  ] as const)('keys that are in the file twice, with --on-conflict %s', async (onConflict, kept) => {
    await using opened = await backend.open()
    const twice = (routes: number) => nodeLine('a', { routes_discovered: routes })
    const file = fileOf([twice(1), nodeLine('b'), twice(2), twice(3)])
    const { report, refused } = await imported(opened.url, file, { onConflict })
    expect(refused).toEqual(kept === undefined ? ['4 has the key of line 2', '5 has the key of line 2'] : [])
    expect((await opened.store.nodes.get('a'))?.routesDiscovered).toBe(kept)
    if (kept !== undefined) expect(report.rows.nodes).toMatchObject({ added: 2, repeated: 2 })
  })

  test('a dry run says the same, and changes nothing', async () => {
    await using opened = await backend.open()
    await imported(opened.url, fileOf([nodeLine('a')]))
    const before = await contentHash(opened)
    const file = fileOf([nodeLine('a'), nodeLine('b'), nodeLine('')])
    const dry = await imported(opened.url, file, { dryRun: true, skipRefused: true })
    expect(await contentHash(opened)).toBe(before)
    const done = await imported(opened.url, file, { skipRefused: true })
    expect(dry).toEqual({ ...done, report: { ...done.report, dryRun: true } })
    expect(dry.refused).toEqual(['2 is there already', '4 node_id must be 1–255 characters'])
  })

  test('what a trigger refuses is named, and undoes all of it, or is left out', async () => {
    await using opened = await backend.open()
    await opened.other.refuseRows('policies', SECRET)
    const file = fileOf([nodeLine('a'), policyLine('p'), policyLine('q')])
    const { report, refused } = await imported(opened.url, file)
    expect(report).toMatchObject({ imported: false, refused: 2 })
    expect(refused).toEqual([
      expect.stringMatching(/^3 is refused by a constraint or a trigger of the database/),
      expect.stringMatching(/^4 is refused by a constraint or a trigger of the database/),
    ])
    expect(refused.join()).not.toContain(SECRET)
    expect(await opened.store.nodes.count()).toBe(0)
    const others = await imported(opened.url, file, { skipRefused: true })
    expect(others.refused).toEqual(refused)
    expect(others.report).toMatchObject({ imported: true, rows: { nodes: { added: 1 }, policies: { added: 0 } } })
    expect(await opened.store.nodes.count()).toBe(1)
  })
})

describe('a file', () => {
  const refusedOf = async (file: string | Buffer, how = {}): Promise<readonly string[]> => {
    using folder = temporaryFolder()
    return (await imported(folder.file('mesh.db'), file, { dryRun: true, ...how })).refused
  }
  const sound = fileOf([nodeLine('a'), nodeLine('b')])
  const lines = sound.trimEnd().split('\n')

  test('that is missing its end', async () => {
    const cut = 'is the last line, and no trailer: the file was cut off'
    expect(await refusedOf(lines.slice(0, -1).join('\n'))).toEqual([`3 ${cut}`])
    expect(await refusedOf(sound.slice(0, sound.indexOf('"b"')))).toEqual(['3 is no JSON', `3 ${cut}`])
    expect(await refusedOf(`${lines[0]}\n`)).toEqual([`1 ${cut}`])
  })

  test('that is missing a line, or has one too many', async () => {
    const words = (found: number) => `rows says 2 rows of nodes, and there are ${found}`
    expect(await refusedOf([lines[0], lines[2], lines[3]].join('\n'))).toEqual([`3 ${words(1)}`])
    const more = [lines[0], JSON.stringify(nodeLine('c')), ...lines.slice(1)]
    expect(await refusedOf(more.join('\n'))).toEqual([`5 ${words(3)}`])
    expect(await refusedOf(`${sound}${JSON.stringify(nodeLine('c'))}`)).toEqual(['5 stands behind the last line'])
    const lost = [lines[0], lines[1], 'x', lines[3]]
    expect(await refusedOf(lost.join('\n'))).toEqual(['3 is no JSON'])
  })

  test('with CRLF, a byte order mark and blank lines', async () => {
    using folder = temporaryFolder()
    const file = `\ufeff${fileOf([nodeLine('a'), nodeLine('b', { table: 'nodes', node_id: '' })], { end: '\r\n\r\n' })}\r\n`
    for (const pieces of [1, 7, 65_536])
      expect(await refusedOf(file, { pieces })).toEqual(['5 node_id must be 1–255 characters'])
    expect(await imported(folder.file('a.db'), file, { skipRefused: true })).toMatchObject({
      report: { rows: { nodes: { added: 1 } } },
    })
  })

  test('with bytes that are no UTF-8', async () => {
    const bytes = Buffer.from(sound)
    bytes[sound.indexOf('"b"') + 1] = 0xff
    expect(await refusedOf(bytes)).toEqual(['3 is no UTF-8'])
  })

  test('of another version, another format, or none', async () => {
    using folder = temporaryFolder()
    const url = folder.file('mesh.db')
    const cases = [
      ['', /is empty/],
      ['\n\n', /is empty/],
      [sound.replace('"version":1', '"version":2'), /another version of the format.*reads version 1/],
      [lines.slice(1).join('\n'), /no header/],
      [sound.replace('"format":"meshstore-ndjson"', '"format":"other"'), /no header/],
      ['hello', /neither an export of meshstore.*nor one JSON document/],
      ['[1,2]', /no NetJSON NetworkGraph: "type" must be "NetworkGraph"\./],
      ['{"type":"NetworkRoutes"}', /"type" must be "NetworkGraph", and is "NetworkRoutes"/],
      ['{"type":"NetworkGraph","nodes":[]}', /"links" must be a list/],
    ] as const
    for (const [file, problem] of cases) {
      const error = await expectCode(imported(url, file), 'VALIDATION')
      expect(error.message).toMatch(problem)
    }
    expect(await (await openStorage(url)).nodes.count()).toBe(0)
  })

  test('with a line that is too long, of which little is held', async () => {
    using folder = temporaryFolder()
    let most = 0
    async function* endless(): AsyncGenerator<Buffer> {
      yield Buffer.from(`${lines[0]}\n${lines[1]}\n{"table":"`)
      for (let megabytes = 0; megabytes < 1_000; megabytes++) {
        yield Buffer.alloc(1_048_576, 'x')
        most = Math.max(most, process.memoryUsage().arrayBuffers)
      }
      yield Buffer.from(`"}\n${lines[3]}\n`)
    }
    const { importInto } = await import('../../src/transfer/index.ts')
    const refused: unknown[] = []
    const options = { dryRun: true, onConflict: 'error', skipRefused: false, busyTimeoutMs: 0 } as const
    await importInto(folder.file('mesh.db'), endless(), {
      ...options,
      now: () => new Date(),
      onRefused: ({ line, message }) => refused.push([line, message]),
    })
    expect(refused).toEqual([[3, 'is longer than 8388608 bytes']])
    expect(most).toBeLessThan(500 * 1_048_576)
  })
})

/** The trailer counts what the export had, and the file has lines that are none of it. */
const withCounts = (file: string, nodes: number, policies: number, paths: number): string =>
  file.replace(/"rows":\{.*\}\}\n$/, `"rows":{"nodes":${nodes},"policies":${policies},"path_cache":${paths}}}\n`)
