/** Random rows of all types: what is kept can be read, and what is refused could not have been. */
import { copyFileSync, existsSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Meshstore, openStorage, StorageError } from '../../src/index.ts'
import { migrationsOf } from '../../src/migrator/migrations.ts'
import { up } from '../../src/open/migrate.ts'
import { all } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { assertProperty } from '../support/properties.ts'
import { Bytes, type Cell, type Row, type Stored, TABLES } from './support/cells.ts'
import { bareDriver, contentOf, makeFile } from './support/client.ts'
import { DDL, NOW, nodeRow, pathRow, policyRow } from './support/ddl.ts'
import { quarantinedIn, restored } from './support/quarantined.ts'

const any: fc.Arbitrary<Cell> = fc.oneof(
  fc.constantFrom<Cell>(
    '',
    'maybe',
    'a:b',
    '%',
    '1',
    '1.5',
    'NaN',
    'True',
    '[]',
    '["a"]',
    '[1]',
    '{}',
    '{"a":[]}',
    'null',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.string({ maxLength: 4 }).map((text) => JSON.stringify([text])),
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  fc.constantFrom<Cell>(0n, 1n, 2n, -1n, 1_000n, 1_001n, 2n ** 53n - 1n, 2n ** 53n),
  fc.double({ noNaN: true }),
  fc.constantFrom<Cell>(0, 1, NOW, 253_402_300_799, 253_402_300_800, Number.POSITIVE_INFINITY),
  fc.uint8Array({ maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
  fc.uint8Array({ maxLength: 4 }).map((bytes) => new Bytes(...bytes)),
  fc.uint8Array({ maxLength: 2 }).map((bytes) => new Bytes(0x5b, 0x22, ...bytes, 0x22, 0x5d)),
)

type Given = Record<string, Cell>
/** A good row of which some columns hold anything; NULL where the client's DDL has it. */
const rowOf = (row: (given: Given) => Row, good: Given, nullable: readonly string[]): fc.Arbitrary<Row> =>
  fc
    .record(
      Object.fromEntries(
        Object.entries(good).map(([column, value]) => [
          column,
          fc.oneof(
            { weight: 8, arbitrary: fc.constant(value) },
            { weight: 1, arbitrary: any },
            ...(nullable.includes(column) ? [{ weight: 1, arbitrary: fc.constant<Cell>(null) }] : []),
          ),
        ]),
      ),
    )
    .map((given) => row(given))

const id = fc.oneof(fc.constantFrom<Cell>('a', 'b', 'c', 'd', 'ü', 'x'.repeat(255), 'x'.repeat(256)), any)
const node = id.chain((node_id) =>
  rowOf(
    nodeRow,
    {
      node_id,
      interfaces: '["eth0"]',
      protocols: '[]',
      started: 1n,
      routes_discovered: 0n,
      created_at: NOW,
      updated_at: NOW,
    },
    ['node_id', 'started', 'routes_discovered'],
  ),
)
const policy = id.chain((policy_id) =>
  rowOf(policyRow, { policy_id, yaml_content: 'a: 1', rules_count: 0n, created_at: NOW, updated_at: NOW }, [
    'policy_id',
  ]),
)
/** Some are ambiguous in a key, whose rows are dropped. */
const end = fc.oneof({ weight: 4, arbitrary: id }, { weight: 1, arbitrary: fc.constantFrom<Cell>('a:b', '%') })
const path = fc.tuple(end, end, fc.oneof(fc.constantFrom<Cell>(1n, 2n, 3), any)).chain(([source, destination, k]) => {
  const key = `${String(source)}:${String(destination)}:${String(k)}`
  return rowOf(
    pathRow,
    { cache_key: key, source, destination, k, bundle_json: '{"primary": []}', created_at: NOW, expires_at: NOW },
    ['cache_key'],
  )
})

/** Before anything has expired. */
const now = (): Date => new Date(-253_402_300_799_000)
const textOf = (cell = ''): string | undefined =>
  cell.startsWith('text ') ? Buffer.from(cell.slice('text '.length), 'hex').toString() : undefined
const isWhole = (cell: string): boolean => {
  const [type, value = ''] = cell.split(' ')
  if (type === 'integer') return Number.isSafeInteger(Number(value))
  if (type === 'real') return Math.abs(Buffer.from(value, 'hex').readDoubleBE()) < 2 ** 53
  return type !== 'text' || Buffer.from(textOf(cell) ?? '').toString('hex') === value
}

/** Reads a row by its key. */
async function read(store: Meshstore, table: string, [key, source, destination, k]: readonly string[]) {
  const [name, from, to] = [textOf(key), textOf(source), textOf(destination)]
  if (table === 'nodes') return name === undefined ? undefined : store.nodes.get(name)
  if (table === 'policies') return name === undefined ? undefined : store.policies.get(name)
  if (from === undefined || to === undefined) return undefined
  const found = await store.pathCache.getEntry({ source: from, destination: to, k: Number(k?.split(' ')[1]) })
  // Another row may lie under its key.
  return found?.cacheKey === name && found?.source === from && found.destination === to ? found : undefined
}

/** Whether the library reads the row, with nothing lost: neither bytes that are no text nor digits. */
async function isReadable(store: Meshstore, table: string, { cells }: Stored): Promise<boolean> {
  if (!cells.every(isWhole)) return false
  try {
    return (await read(store, table, cells)) !== undefined
  } catch (error) {
    if (error instanceof StorageError && (error.code === 'CORRUPT' || error.code === 'VALIDATION')) return false
    throw error
  }
}

const isAmbiguous = ({ cells }: Stored): boolean =>
  [cells[1], cells[2]].some((cell) => isWhole(cell ?? '') && /[:%]/.test(textOf(cell) ?? ''))

/** The library's tables, which a read of cached paths looks into as well. */
const OUR_TABLES = migrationsOf('sqlite')
  .flatMap(({ statements }) => statements)
  .filter((statement) => /^\s*CREATE TABLE `path_cache_/.test(statement))
  .join('')

const withoutDuplicates = DDL.replaceAll(/TEXT PRIMARY KEY/g, 'TEXT PRIMARY KEY ON CONFLICT IGNORE')

test('kept + dropped + refused are all; the kept can be read, and of the refused none could have been', {
  timeout: 300_000,
}, async () => {
  let seen = { kept: 0, dropped: 0, refused: 0 }
  const rows = fc.array(fc.oneof(node, policy, path), { maxLength: 30, size: 'max' })
  await assertProperty(
    'judged',
    fc.asyncProperty(rows, async (random) => {
      using folder = temporaryFolder()
      const file = await makeFile(folder.file('mesh.db'), random, { sql: withoutDuplicates, by: bareDriver })
      const before = contentOf(file)
      const quarantine = folder.file('rows.ndjson')
      copyFileSync(file, folder.file('unadopted.db'))
      const { adoption } = await up(file, { quarantine, backup: false })
      const after = contentOf(file)
      const refused = existsSync(quarantine)
        ? restored(quarantine)
        : contentOf(await makeFile(folder.file('none.db'), [], { by: bareDriver }))

      await using application = bareDriver.open(folder.file('unadopted.db'))
      await application.execute(`UPDATE nodes SET started = 0 WHERE started IS NULL;
        UPDATE nodes SET routes_discovered = 0 WHERE routes_discovered IS NULL;
        ${OUR_TABLES}`)
      await using unadopted = await openStorage({ url: folder.file('unadopted.db'), migrate: 'skip', now })
      await using adopted = await openStorage({ url: file, now })
      for (const table of TABLES) {
        const report = adoption?.tables.find((each) => each.table === table)
        const { kept = 0, dropped = 0 } = report ?? {}
        expect({ ...report }).toMatchObject({ kept: after[table].length, refused: refused[table].length })
        expect(kept + dropped + refused[table].length).toBe(before[table].length)
        for (const row of after[table]) expect(await isReadable(adopted, table, row), String(row.cells)).toBe(true)
        for (const row of refused[table]) {
          expect(before[table]).toContainEqual(row)
          expect(await isReadable(unadopted, table, row), String(row.cells)).toBe(false)
        }
        expect(before[table].filter((row) => table === 'path_cache' && isAmbiguous(row))).toHaveLength(dropped)
        seen = {
          kept: seen.kept + kept,
          dropped: seen.dropped + dropped,
          refused: seen.refused + refused[table].length,
        }
      }
      expect(await all(adopted.nodes.iterate())).toHaveLength(after.nodes.length)
      expect(await all(adopted.policies.iterate())).toHaveLength(after.policies.length)
      expect(await all(adopted.pathCache.iterate())).toHaveLength(after.path_cache.length)
      const problems = existsSync(quarantine) ? quarantinedIn(quarantine).flatMap((line) => line.problems) : []
      expect(adoption?.problems).toHaveLength(problems.length)
    }),
    { runs: 60 },
  )
  console.info(`rows: ${JSON.stringify(seen)}`)
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(0)
})
