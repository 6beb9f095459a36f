/** Databases that are far larger than the memory that a process may take. */
import { spawnSync } from 'node:child_process'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { MAIN } from '../cli/support/command.ts'
import { counts, ownHash, type Place, postgres, sqlite } from '../move/support/places.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { temporaryFolder } from '../support/folders.ts'

const HEAP_MB = 64
const ROWS = 30_000
const BUNDLES = 160
/** 112 MB of them. */
const BUNDLE_BYTES = 700_000

/** A large file with a plain path, which a child process opens. */
async function large(): Promise<Place> {
  const place = await sqlite.open()
  await (await openStorage(place.url)).close()
  const raw = new Sqlite(place.url)
  const numbers = (count: number): string =>
    `WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${count})`
  raw.exec(`${numbers(ROWS)} INSERT INTO nodes
    SELECT printf('n-%06d', n * 7919 % ${ROWS}), '["eth0", "wlan0"]', '[]', n % 2, n, n + 0.123456, n + 0.5 FROM n`)
  raw.exec(`${numbers(BUNDLES)} INSERT INTO path_cache
    SELECT 's-' || n || ':z:3', 's-' || n, 'z', 3,
      '{"source":"s-' || n || '","destination":"z","primary":[],"pad":"' || hex(zeroblob(${BUNDLE_BYTES / 2})) || '"}', n, 4000000000 + n + 0.25
    FROM n`)
  raw.close()
  return place
}

const run = (...args: readonly string[]) =>
  spawnSync(process.execPath, [`--max-old-space-size=${HEAP_MB}`, ...args], { encoding: 'utf8', maxBuffer: 1e9 })

describePostgres(`in ${HEAP_MB} MB of heap`, () => {
  test('there, into a backup, and back', async () => {
    using folder = temporaryFolder()
    await using first = await large()
    await using middle = await postgres.open()
    await using last = await sqlite.open()
    const done = { status: 0, stderr: '' }
    expect(run(MAIN, 'copy', '--from', first.url, '--to', middle.url)).toMatchObject({
      ...done,
      stdout: expect.stringContaining('Copied 30,000 nodes, 0 policies, 160 cached paths from SQLite to PostgreSQL.'),
    })
    const file = folder.file('mesh.backup')
    expect(run(MAIN, 'backup', 'create', '--url', middle.url, '--file', file)).toMatchObject(done)
    expect(run(MAIN, 'copy', '--from', middle.url, '--to', last.url)).toMatchObject(done)
    expect(await ownHash(last)).toBe(await ownHash(first))
    expect(await counts(last)).toEqual({ nodes: ROWS, policies: 0, path_cache: BUNDLES })
    // The limit is one: whoever holds the rows in memory does not come far. A character of this driver's takes a byte.
    const all = `const raw = new (require('better-sqlite3'))(process.argv[1]);
      console.log(raw.prepare('SELECT * FROM path_cache').all().map((row) => JSON.stringify(row)).length)`
    expect(run('-e', all, first.url).status).not.toBe(0)
  })
})
