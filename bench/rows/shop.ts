/** A load that a shop would recognise: examples/mesh-api over HTTP, and the same by hand on Redis and PostgreSQL. */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { childPath } from '../child.ts'
import type { ComparisonTable } from '../comparison-table.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { NoServer, type Server, withDatabase, withServer } from '../postgres-server.ts'
import { usedBelow } from '../processes.ts'
import { NoRedis, redisVersion, startServer } from '../redis.ts'
import type { Unit } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const SECONDS = { quick: 3, full: 60 }
const CLIENTS = 50
const MB = 1_000_000

interface Loaded {
  readonly perSecond: number
  readonly requests: number
  readonly p50: number
  readonly p99: number
  readonly failed: number
  readonly cpuMs: number
  readonly memoryBytes: number
}

const ROWS: readonly { name: string; unit: Unit; of: (loaded: Loaded) => number }[] = [
  { name: 'requests', unit: '/s', of: ({ perSecond }) => perSecond },
  { name: 'p50', unit: 'ms', of: ({ p50 }) => p50 },
  { name: 'p99', unit: 'ms', of: ({ p99 }) => p99 },
  { name: 'CPU for a request', unit: 'µs', of: ({ cpuMs, requests }) => (cpuMs * 1_000) / requests },
  { name: 'memory', unit: 'MB', of: ({ memoryBytes }) => memoryBytes / MB },
]

export const shop: Benchmark = {
  name: 'shop',
  run: async (context) => {
    const reasons: string[] = []
    const orNot = async (name: string, measure: () => Promise<Loaded>): Promise<Loaded | undefined> => {
      context.progress(`shop: ${name}`)
      try {
        const loaded = await measure()
        if (loaded.failed > 0) reasons.push(`${name}: ${loaded.failed} requests FAILED.`)
        return loaded
      } catch (error) {
        if (error instanceof NoServer || error instanceof NoRedis || error instanceof DidNotStart) {
          reasons.push(`NOT MEASURED: ${name}: ${error.message}`)
          return undefined
        }
        throw error
      }
    }
    const sides: readonly (readonly [string, () => Promise<Loaded>])[] = [
      ['meshstore on SQLite', () => meshApi(context, newFile(context, 'shop'))],
      ['meshstore on PostgreSQL', () => onPostgres((url) => meshApi(context, url))],
      ['Redis and PostgreSQL by hand', () => onPostgres((url) => byHand(context, url))],
    ]
    const all: (Loaded | undefined)[] = []
    for (const [name, measure] of sides) all.push(await orNot(name, measure))
    const [first] = all
    return [
      {
        title: 'A shop: 50 clients over HTTP, 90 % cached paths, 8 % reads, 2 % writes',
        columns: sides.map(([name]) => name),
        rows: ROWS.map(({ name, unit, of }) => ({
          name,
          unit,
          cells: all.map((loaded, n) =>
            loaded === undefined
              ? undefined
              : {
                  value: summaryOf([of(loaded)]),
                  ratio: n === 0 || first === undefined ? undefined : summaryOf([of(loaded) / of(first)]),
                },
          ),
        })),
        notes: [
          ...reasons,
          ...redisVersion(),
          `${secondsOf(context)} s each. examples/mesh-api, durable; by hand the same with fastify, pg and redis: a cached path is sent as Redis has it, and a write drops the paths through its node. CPU and memory are those of all processes but the load: the API, the servers, and what they start.`,
        ],
        peers: true,
      } satisfies ComparisonTable,
    ]
  },
}

class DidNotStart extends Error {}

const secondsOf = ({ quick }: Context): number => (quick ? SECONDS.quick : SECONDS.full)

const onPostgres = (work: (url: string) => Promise<Loaded>): Promise<Loaded> =>
  withServer((server: Server) => withDatabase(server, work))

const meshApi = (context: Context, url: string): Promise<Loaded> =>
  underLoad(context, [childPath('mesh-api.mjs'), '--url', url, '--port', '0'])

async function byHand(context: Context, url: string): Promise<Loaded> {
  const redis = await startServer(mkdtempSync(join(context.folder, 'redis-')), [])
  try {
    return await underLoad(context, [childPath('by-hand.ts'), url, String(redis.port)])
  } finally {
    await redis.stop()
  }
}

async function underLoad(context: Context, args: readonly string[]): Promise<Loaded> {
  const server = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(server, 'exit')
  try {
    return await loaded(await addressOf(server), secondsOf(context))
  } finally {
    server.kill()
    await ended
  }
}

/** Rejects with DidNotStart and what the server said. */
async function addressOf(server: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let said = ''
  for (const stream of [server.stdout, server.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const [address] = /http:\/\/127\.0\.0\.1:\d+/.exec(said) ?? []
      if (address !== undefined) resolve(address)
    })
  server.once('close', () => {
    reject(
      new DidNotStart(said.split('\n').find((line) => /^\w*Error\b.*: /.test(line)) ?? 'The server did not start.'),
    )
  })
  return promise
}

async function loaded(url: string, seconds: number): Promise<Loaded> {
  const load = fork(childPath('load.ts'), [url, String(seconds), String(CLIENTS)])
  const ended = once(load, 'exit').then(() => {
    throw new Error('The load ended early.')
  })
  ended.catch(() => {})
  await Promise.race([once(load, 'message'), ended])
  const before = usedBelow(load.pid)
  const [found] = await Promise.race([once(load, 'message'), ended])
  const after = usedBelow(load.pid)
  return { ...found, cpuMs: after.cpuMs - before.cpuMs, memoryBytes: after.memoryBytes }
}
