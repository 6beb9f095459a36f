import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { delimiter, join } from 'node:path'
import Database from 'better-sqlite3'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { QUICK } from '../support/quick.ts'
import { root } from './tree-copy.ts'

const folder = mkdtempSync(join(QUICK, 'meshstore-studio-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

// Studio's server speaks https with a certificate of its own making wherever mkcert is installed.
writeFileSync(join(folder, 'mkcert'), '#!/bin/sh\nexit 1\n')
chmodSync(join(folder, 'mkcert'), 0o755)

/** `npm run studio`, in a process group of its own, so that no child can be forgotten. */
function studio(file: string, ...args: string[]) {
  const child = spawn('npm', ['run', 'studio', '--', ...args], {
    cwd: root,
    env: { ...process.env, DATABASE_URL: `sqlite:${file}`, PATH: `${folder}${delimiter}${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const closed = once(child, 'close')
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (printed += text))
  return {
    closed,
    printed: () => printed,
    isRunning: () => signal(child.pid, 0),
    async [Symbol.asyncDispose]() {
      signal(child.pid, 'SIGTERM')
      await closed
    },
  }
}

/** To the group. False when nothing is left of it. */
function signal(group: number | undefined, name: NodeJS.Signals | 0): boolean {
  if (group === undefined) return false
  try {
    return process.kill(-group, name)
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** As Studio's page asks. */
async function ask(port: number, question: object): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin: 'https://local.drizzle.studio' },
    body: JSON.stringify(question),
  })
  expect(response.status).toBe(200)
  expect(response.headers.get('access-control-allow-origin')).toBe('*')
  return response.json()
}

const query = (sql: string, ...params: unknown[]) => ({ type: 'proxy', data: { sql, params, method: 'all' } })

describe('npm run studio', () => {
  it('shows the schema and the rows of the database, on this machine only', async () => {
    const file = join(folder, 'mesh.db')
    const db = new Database(file)
    db.exec(readFileSync(join(root, 'drizzle/sqlite.sql'), 'utf8'))
    db.prepare(`INSERT INTO nodes VALUES ('gw-1', '["eth0"]', '["batman-adv"]', 1, 7, 1.5, 2.5)`).run()
    db.close()

    const port = await freePort()
    await using server = studio(file, '--port', String(port))
    await vi.waitFor(() => expect(server.printed()).toContain('up and running'), { timeout: 30_000, interval: 50 })

    // It would name any host but 127.0.0.1.
    expect(server.printed()).toMatch(/https:\/\/local\.drizzle\.studio\?port=\d+\s/)

    expect(await ask(port, { type: 'init' })).toMatchObject({
      dialect: 'sqlite',
      packageName: 'better-sqlite3',
      schemaFiles: [{ name: 'sqlite.ts', content: readFileSync(join(root, 'src/schema/sqlite.ts'), 'utf8') }],
    })
    const tables = `SELECT name FROM sqlite_master WHERE name IN ('nodes', 'path_cache', 'policies') ORDER BY name`
    expect(await ask(port, query(tables))).toEqual([{ name: 'nodes' }, { name: 'path_cache' }, { name: 'policies' }])
    expect(await ask(port, query('SELECT * FROM "nodes" WHERE "node_id" = ? LIMIT 50', 'gw-1'))).toEqual([
      {
        node_id: 'gw-1',
        interfaces: '["eth0"]',
        protocols: '["batman-adv"]',
        started: 1,
        routes_discovered: 7,
        created_at: 1.5,
        updated_at: 2.5,
      },
    ])

    expect(server.isRunning()).toBe(true)
    await server[Symbol.asyncDispose]()
    await vi.waitFor(() => expect(server.isRunning()).toBe(false), { timeout: 10_000, interval: 50 })
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow()
  })

  it('says what to do where there is no database, and creates none', async () => {
    const file = join(folder, 'none.db')
    await using server = studio(file)
    await vi.waitFor(() => expect(server.isRunning()).toBe(false), { timeout: 30_000, interval: 50 })
    expect(await server.closed).toEqual([1, null])
    expect(server.printed()).toContain(`There is no database at ${file}.`)
    expect(server.printed()).toContain('drizzle-kit migrate')
    expect(existsSync(file)).toBe(false)
  })
})
