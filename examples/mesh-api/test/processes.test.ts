/** `npm run mesh-api` as a process: killed under load, ended in order, started wrongly. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { FaultyProxy } from '../../../test/postgres/support/proxy.ts'
import { temporaryFolder } from '../../../test/support/folders.ts'
import { eachLastingBackend } from '../../../test/support/settings.ts'
import { usageOf } from '../src/usage.ts'
import { COMMAND, start } from './support/child.ts'
import { judge, Load } from './support/load.ts'
import { OWN } from './support/serving.ts'
import { ABILENE_FILE } from './support/topologies.ts'

const LANES = 16
const KILLS = Number(process.env.KILL_CYCLES ?? 1)
/** Acknowledgements before the next kill: each comes at another moment. */
const acknowledgementsBefore = (kill: number): number => 150 + ((kill * 97) % 300)

/** Starts a server on the database, kills it under load, starts another, and says what that one has. */
async function killed(url: string, acknowledgements: number) {
  const load = await (async () => {
    await using server = await start('--url', url)
    const load = new Load(server.base, LANES)
    await load.acknowledged(acknowledgements)
    expect(await server.end('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' })
    await load.over()
    return load
  })()
  await using server = await start('--url', url)
  return await judge(server.base, load)
}

/** The same with a server that is ended in order. `spoilt`: what is between it and its clients. */
async function ended(url: string, spoilt?: (base: string) => Promise<FaultyProxy>) {
  const load = await (async () => {
    await using server = await start('--url', url)
    await using proxy = await spoilt?.(server.base)
    const load = new Load(proxy === undefined ? server.base : new URL(proxy.url).origin, LANES)
    await load.acknowledged(100)
    const ended = server.end('SIGTERM')
    await load.over()
    expect(await ended, server.output()).toEqual({ code: 0, signal: null })
    return load
  })()
  await using server = await start('--url', url)
  // The next start finds the rows of the first one.
  expect(server.output()).toContain('0 nodes stored just now')
  return await judge(server.base, load)
}

eachLastingBackend('a server under load', (backend) => {
  test(
    'is killed, and started again serves everything that was acknowledged',
    async () => {
      let unanswered = 0
      for (let kill = 0; kill < KILLS; kill++) {
        await using opened = await backend.open(OWN)
        await opened.store.close()
        const verdict = await killed(opened.url, acknowledgementsBefore(kill))
        expect(verdict.lost).toEqual([])
        expect(verdict.rows).toBeGreaterThan(LANES)
        unanswered += verdict.unanswered
      }
      // It was in the middle of its writes.
      expect(unanswered).toBeGreaterThan(0)
    },
    60_000 + KILLS * 20_000,
  )

  test('is ended in order: what was begun is finished, and answered', async () => {
    await using opened = await backend.open(OWN)
    await opened.store.close()
    expect(await ended(opened.url)).toMatchObject({ lost: [], carriedOut: [] })
  })
})

test('an answer that was due, and did not come, is found out', async () => {
  using folder = temporaryFolder()
  const { lost, carriedOut } = await ended(folder.file('mesh.db'), async (base) => {
    const proxy = await FaultyProxy.before(base)
    proxy.arm('reset after', 'POST /policies')
    return proxy
  })
  expect(lost).toEqual([])
  expect(carriedOut.length).toBeGreaterThan(0)
})

test('a server that keeps nothing is found out', async () => {
  const { lost, rows } = await killed('sqlite::memory:', 150)
  expect(lost.length).toBeGreaterThan(rows / 4)
})

describe('what it is started with', () => {
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [...COMMAND, ...args], { encoding: 'utf8' })
    return { status, stdout, stderr }
  }

  test('--help', () => {
    const { status, stdout, stderr } = run('--help')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    for (const option of ['import FILE', '--url', '--port', '--host']) expect(stdout).toContain(option)
  })

  test.each([
    ['an unknown option', ['--topology', 'x'], /Unknown option/],
    ['an unknown command', ['serve'], /no command "serve"/],
    ['an import of nothing', ['import'], /Which file/],
    ['a port that is none', ['--port', 'many'], /--port must be a number/],
  ])('%s is refused', (_, args, problem) => {
    expect(() => usageOf(args, {})).toThrow(problem)
  })

  test('the database is that of --url, of the environment, or a file here', () => {
    const urlOf = (args: string[], environment: NodeJS.ProcessEnv) => {
      const usage = usageOf(args, environment)
      return usage === 'help' ? usage : usage.url
    }
    expect(urlOf([], {})).toBe('./mesh.db')
    expect(urlOf([], { DATABASE_URL: 'sqlite:./a.db' })).toBe('sqlite:./a.db')
    expect(urlOf(['--url', 'sqlite:./b.db'], { DATABASE_URL: 'sqlite:./a.db' })).toBe('sqlite:./b.db')
  })

  test.each([
    ['a mesh that is not there', ['import', './nowhere.json'], /nowhere\.json cannot be read/],
    ['a URL that is none', ['--url', 'mysql://localhost/mesh'], /mysql/],
  ])('%s ends it with a sentence, and nothing is made', (_, args, problem) => {
    using folder = temporaryFolder()
    const file = folder.file('mesh.db')
    const { status, stderr } = run('--url', file, ...args)
    expect(stderr).toMatch(problem)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect([status, existsSync(file)]).toEqual([2, false])
  })

  test('import stores a mesh, and a server serves it', async () => {
    using folder = temporaryFolder()
    const url = folder.file('mesh.db')
    expect(run('import', ABILENE_FILE, '--url', url)).toEqual({
      status: 0,
      stdout: 'Abilene: 11 new nodes, 14 links\n',
      stderr: '',
    })
    await using server = await start('--url', url)
    expect(server.output()).toContain('Abilene: 11 nodes, 14 links; 0 nodes stored just now')
  })

  test('an empty storage stays empty with --empty', async () => {
    await using server = await start('--url', 'sqlite::memory:', '--empty')
    expect(server.output()).toContain('Mesh: 0 nodes, 0 links')
  })

  test('an address in use ends it, with what is wrong', async () => {
    await using server = await start('--url', 'sqlite::memory:')
    const { status, stderr } = run('--url', 'sqlite::memory:', '--port', new URL(server.base).port)
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^.*EADDRINUSE.*--port.*\n$/)])
  })
})
