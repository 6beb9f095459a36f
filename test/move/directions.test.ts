/** Everything arrives as it was, whatever it is and wherever it goes. */
import { describe, expect, test } from 'vitest'
import { type CopyReport, copyDatabase, openStorage } from '../../src/index.ts'
import { temporaryFolder } from '../support/folders.ts'
import { exported } from '../transfer/support/transferred.ts'
import { counts, directions, filled, kinds, ownHash, sqlite, TABLES } from './support/places.ts'
import { forPostgres, nasty, plain } from './support/rows.ts'

const node = { interfaces: '[]', protocols: '[]', started: 0, routes_discovered: 0, created_at: 1, updated_at: 1 }

const hashes = ({ tables }: CopyReport): (string | undefined)[] => Object.values(tables).map((table) => table?.sha256)

describe.each(directions)('from $names.0 to $names.1', ({ from, to }) => {
  test('every value, to the last bit', async () => {
    await using source = await filled(await from.open(), from === sqlite ? nasty : forPostgres(nasty))
    await using target = await to.open()
    const before = await ownHash(source)
    const report = await copyDatabase(source.url, target.url)
    expect(await ownHash(target)).toBe(before)
    expect(await ownHash(source)).toBe(before)
    expect(report).toMatchObject({ from: from.dialect, to: to.dialect, dryRun: false })
    const { nodes, policies, path_cache } = await counts(source)
    expect(nodes).toBeGreaterThan(300)
    expect(Object.values(report.tables)).toMatchObject([
      { rows: nodes, refused: 0 },
      { rows: policies, refused: 0 },
      { rows: path_cache, refused: 0 },
    ])
    for (const table of ['policies', 'path_cache'] as const)
      expect(await target.other.rows(table)).toEqual(await source.other.rows(table))
    expect((await exported(target.url)).text).toBe((await exported(source.url)).text)
  })

  test('into tables that are there and empty, and out of a store that is open', async () => {
    await using source = await filled(await from.open(), plain(3))
    await using target = await filled(await to.open())
    await using reading = await openStorage(source.url)
    await using waiting = await openStorage(target.url)
    expect(await copyDatabase(source.url, target.url)).toMatchObject({ migrated: [] })
    expect(await waiting.nodes.list()).toEqual(await reading.nodes.list())
    expect(await waiting.nodes.count()).toBe(3)
  })

  test('nothing at all', async () => {
    await using source = await filled(await from.open())
    await using target = await to.open()
    expect(await copyDatabase(source.url, target.url)).toMatchObject({ tables: { nodes: { rows: 0, refused: 0 } } })
    expect(await counts(target)).toEqual({ nodes: 0, policies: 0, path_cache: 0 })
  })

  test('what is written meanwhile is not copied: one moment', async () => {
    await using source = await filled(await from.open(), from === sqlite ? plain(450) : forPostgres(plain(450)))
    await using target = await to.open()
    const [before, writing] = [await ownHash(source), new Set<Promise<void>>()]
    await copyDatabase(source.url, target.url, {
      onProgress: ({ step, done }) => {
        if (step === 'comparing' || done > 200) return
        const id = `${step}-${done}`
        writing.add(source.other.insert('nodes', { ...node, node_id: id }))
        writing.add(source.other.insert('nodes', { ...node, node_id: `z-${id}` }))
        writing.add(source.other.execute(`UPDATE policies SET yaml_content = '${id}'; DELETE FROM path_cache`))
      },
    })
    await Promise.all(writing)
    expect(writing.size).toBeGreaterThanOrEqual(6)
    expect(await ownHash(target)).toBe(before)
    expect(await ownHash(source)).not.toBe(before)
  })

  test('without the cached paths', async () => {
    await using source = await filled(await from.open(), plain(3))
    await using target = await to.open()
    const report = await copyDatabase(source.url, target.url, { skipCache: true })
    expect(report.tables.pathCache).toBeUndefined()
    expect(await counts(target)).toEqual({ nodes: 3, policies: 3, path_cache: 0 })
    expect(await ownHash(target, ['nodes', 'policies'])).toBe(await ownHash(source, ['nodes', 'policies']))
  })

  test('a dry run changes nothing, not even the schema', async () => {
    await using source = await filled(await from.open(), plain(2))
    await using target = await to.open()
    const report = await copyDatabase(source.url, target.url, { dryRun: true })
    expect(report).toMatchObject({ dryRun: true, migrated: [], tables: { nodes: { rows: 2, refused: 0 } } })
    expect(hashes(report)).toEqual([undefined, undefined, undefined])
    // Were it there, this would apply nothing.
    expect(await copyDatabase(source.url, target.url)).toMatchObject({
      migrated: expect.arrayContaining([expect.stringMatching(/^0000_/)]),
    })
  })

  test('progress: each row is looked at, copied and compared', async () => {
    await using source = await filled(await from.open(), plain(450))
    await using target = await to.open()
    const seen: Record<string, number[]> = { checking: [], copying: [], comparing: [] }
    await copyDatabase(source.url, target.url, {
      onProgress: ({ step, done, total }) => {
        expect(total).toBe(1_350)
        seen[step]?.push(done)
      },
    })
    for (const done of Object.values(seen)) {
      expect(done.at(-1)).toBe(1_350)
      expect(done).toEqual(done.toSorted((a, b) => a - b))
      expect(done.length).toBeGreaterThan(4)
    }
  })
})

describe.each(kinds)('there and back again, through $name', (middle) => {
  test('exports are equal byte for byte, and so is every hash', async () => {
    await using first = await filled(await sqlite.open(), nasty)
    await using between = await middle.open()
    await using last = await sqlite.open()
    const there = await copyDatabase(first.url, between.url)
    const back = await copyDatabase(between.url, last.url)
    const { text } = await exported(first.url)
    expect(text.length).toBeGreaterThan(1_000_000)
    expect((await exported(between.url)).text).toBe(text)
    expect((await exported(last.url)).text).toBe(text)
    expect(new Set([await ownHash(first), await ownHash(between), await ownHash(last)]).size).toBe(1)
    expect(hashes(back)).toEqual(hashes(there))
    // By the manifests of backups, which are written by other code.
    using folder = temporaryFolder()
    for (const [name, url] of Object.entries({ first: first.url, last: last.url })) {
      await using store = await openStorage(url)
      const { tables } = await store.backup(folder.file(name))
      expect(Object.values(tables).map(({ sha256 }) => sha256)).toEqual(hashes(there))
    }
  })

  test('a file that this library wrote comes back cell by cell', async () => {
    await using first = await sqlite.open()
    {
      await using store = await openStorage(first.url)
      await store.nodes.create({ nodeId: 'ä', interfaces: ['eth0', '"', 'ö'], protocols: [], started: true })
      await store.policies.create({ policyId: 'p', yamlContent: 'rules: [{ id: a }]\r\n' })
      const key = { source: 'fe80::1', destination: '%', k: 2 }
      await store.pathCache.set(key, { source: 'fe80::1', destination: '%', primary: [] })
    }
    await using between = await middle.open()
    await using last = await sqlite.open()
    await copyDatabase(first.url, between.url)
    await copyDatabase(between.url, last.url)
    for (const table of TABLES) expect(await last.other.rows(table)).toEqual(await first.other.rows(table))
  })
})

const SHORTENED = `DO $$ BEGIN
  EXECUTE format('ALTER DATABASE %I SET extra_float_digits = -8', current_database()); END $$`

describe.each(directions.filter(({ from, to }) => from !== sqlite || to !== sqlite))(
  'from $names.0 to $names.1',
  ({ from, to }) => {
    test('every bit of a time, where a server is set to write them short', async () => {
      await using source = await filled(await from.open(), from === sqlite ? plain(20) : forPostgres(plain(20)))
      await using target = await filled(await to.open())
      const before = await ownHash(source)
      for (const [kind, place] of [
        [from, source],
        [to, target],
      ] as const)
        if (kind !== sqlite) await place.other.execute(SHORTENED)
      await copyDatabase(source.url, target.url)
      // These tests' own connections are set like that too.
      await using back = await sqlite.open()
      await copyDatabase(target.url, back.url)
      expect(await ownHash(back)).toBe(before)
    })
  },
)

describe.each(directions.filter(({ from }) => from !== sqlite))('from $names.0 to $names.1', ({ from, to }) => {
  test('a time of minus zero is a zero, with its sign where it can be kept', async () => {
    await using source = await filled(await from.open())
    await source.other.execute(`INSERT INTO nodes VALUES ('a', '[]', '[]', false, 0, '-0', 1.5)`)
    await using target = await to.open()
    await copyDatabase(source.url, target.url)
    const [row] = await target.other.rows('nodes')
    expect(row?.created_at).toBe(to === sqlite ? 0 : -0)
  })
})
