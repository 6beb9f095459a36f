/** Ctrl+C: what it stops, what is left, and what is said. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes } from '../support/samples.ts'
import { MAIN, runCommand } from './support/command.ts'

/** `meshstore …args`, until it is interrupted. */
function running(args: readonly string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const closed = once(child, 'close')
  return {
    interrupted: async () => {
      child.kill('SIGINT')
      return async () => {
        const [code] = await closed
        return { code, stderr }
      }
    },
  }
}

describePostgres('interrupted in the middle', () => {
  test('an export leaves nothing, and says so', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    const store = await openStorage(database.url)
    await store.nodes.createMany(manyNodes(3))
    await store.close()
    const holder = await database.client()
    await holder.query('BEGIN; LOCK TABLE policies IN ACCESS EXCLUSIVE MODE')
    const exporting = running(['export', '--url', database.url, '--output', folder.file('mesh.ndjson')])
    await waitingFor(database)
    expect(readdirSync(folder.path)).toHaveLength(1)
    const ended = await exporting.interrupted()
    await holder.query('ROLLBACK')
    const stderr = 'INTERRUPTED: Stopped. Nothing was exported. See docs/reference/errors.md#interrupted\n'
    expect(await ended()).toEqual({ code: 130, stderr })
    expect(readFileSync(join(import.meta.dirname, '../../docs/reference/errors.md'), 'utf8')).toContain(
      `\n^C\n${stderr}`,
    )
    expect(readdirSync(folder.path)).toEqual([])
  })

  test('a move says how things stand, and can be resumed', async () => {
    using folder = temporaryFolder()
    await using database = await createDatabase()
    const path = folder.file('mesh.db')
    const store = await openStorage(path)
    await store.nodes.createMany(manyNodes(3))
    await store.close()
    await (await openStorage(database.url)).close()
    const holder = await database.client()
    await holder.query('BEGIN; LOCK TABLE nodes IN SHARE MODE')
    const places = ['--from', path, '--to', database.url, '--yes']
    const moving = running(['move', ...places])
    await waitingFor(database)
    const ended = await moving.interrupted()
    await holder.query('ROLLBACK')
    const { code, stderr } = await ended()
    expect(code, stderr).toBe(130)
    expect(stderr).toContain(
      `INTERRUPTED: Stopped before the switch. ${path} serves as before. Go on with --resume, or give it up with --abort. See docs/reference/errors.md#interrupted\n`,
    )
    expect(await runCommand(['move', ...places, '--resume'])).toMatchObject({ code: 0 })
  })
})

const waitingFor = (database: TestDatabase): Promise<void> =>
  eventually('somebody waits for the lock', async () => {
    const waiting = 'SELECT FROM pg_locks JOIN pg_database d ON d.oid = database WHERE datname = $1 AND NOT granted'
    return (await database.query(waiting, [database.name])).length > 0
  })

const script = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0
if (!script) console.warn('!! NO script(1) HERE: Ctrl+C under a bar is not tested. Install util-linux to test it.')

test.runIf(script)('Ctrl+C ends what shows a bar, and brings the cursor back', async () => {
  const program = `'${process.execPath}' '${join(import.meta.dirname, 'programs/bar.ts')}'`
  const child = spawn('script', ['-qec', program, '/dev/null'], {
    env: { ...process.env, TERM: 'xterm' },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  let shown = ''
  let interrupted = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
    // The first that is shown may be the hidden cursor alone.
    if (!interrupted && shown.includes('Working')) interrupted = child.stdin.write('\u0003')
  })
  const [code] = await once(child, 'close')
  expect(code).toBe(130)
  expect(shown).toContain('Working')
  expect(shown.lastIndexOf('\u001b[?25h')).toBeGreaterThan(shown.lastIndexOf('\u001b[?25l'))
})
