/**
 * Two builds of the library in turn: what a change costs or gains. Each build runs in a process of its own on a database of
 * its own, and a round of one follows a round of the other. Processor time is compared, which other work on the machine
 * moves less than real time.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { OPERATIONS } from './build-operations.ts'
import { childPath } from './child.ts'
import type { NotTaken, Taken } from './children/build.ts'
import { temporaryFolder } from './disk.ts'
import { NoServer, type Server, withDatabase, withServer } from './postgres-server.ts'
import { sameIndexes } from './same-indexes.ts'
import { mainProcessOf } from './server-time.ts'
import { medianOf, summaryOf } from './statistics.ts'

const HELP = `node bench/builds.ts OLD NEW [OPTIONS]

OLD and NEW are checked-out trees that are built (npm run build).

  --only NAME       one operation; may be given several times
  --rounds N        rounds of each (20)
  --normal          durability 'normal'
  --postgres        on PostgreSQL, with the server's processor time
  --tokens          on PostgreSQL, NEW with outcome tokens: OLD may be the same tree
  --subscribed      somebody reads the changes of NEW: OLD may be the same tree
  --same-indexes    OLD gets the indexes of NEW: what is left is the code's
  --replicated      NEW replicates to a folder: OLD may be the same tree
  --by-hand         and \`pg\` by hand, for the operations of one row
  --postgres-js     and postgres.js, for reads by id: run \`node bench/install.ts\` first
`

/** A database lies in a quiet folder but for its first moments: those are not what is compared. */
const QUIET_MS = 2_500

interface Side {
  readonly durability: string
  /** The process id of PostgreSQL's main process, if its times can be read. */
  readonly server: number | undefined
  readonly side?: 'meshstore' | 'pg' | 'postgres.js'
  readonly outcomeTokens?: boolean
  readonly log?: string | undefined
}

class Build {
  readonly #child: ChildProcess
  readonly #ended: Promise<never>

  constructor(tree: string, url: string, { durability, server, side = 'meshstore', outcomeTokens, log = '' }: Side) {
    const entry = join(resolve(tree), 'dist/index.js')
    this.#child = fork(childPath('build.ts'), [entry, url, durability, side, String(server ?? '')], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: { ...process.env, ...(outcomeTokens && { BUILD_TOKENS: 'on' }), BUILD_LOG: log },
    })
    this.#ended = once(this.#child, 'exit').then(([code]) => {
      throw new Error(`The process of ${tree} ended with ${code}.`)
    })
    this.#ended.catch(() => {})
  }

  async opened(): Promise<void> {
    await this.#answer()
  }

  round(name: string, round: number): Promise<Taken | NotTaken> {
    this.#child.send({ name, round })
    return this.#answer()
  }

  async #answer(): Promise<Taken | NotTaken> {
    const [answer] = await Promise.race([once(this.#child, 'message'), this.#ended])
    return answer
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }
}

const COLUMNS = ['', 'old, CPU µs', 'new, CPU µs', 'ratio', 'p10–p90', 'real time']
const OF_SERVER = ['old, server CPU µs', 'new, server CPU µs', 'ratio']
const ofPeer = (peer: string) => [`${peer}, µs`, 'new, µs', `${peer} ÷ new`]

async function compared(builds: readonly Build[], names: readonly string[], server?: number): Promise<void> {
  const rounds = Number(values.rounds)
  const byHand = builds.length > 2
  const columns = [...COLUMNS, ...(server === undefined ? [] : OF_SERVER), ...(byHand ? ofPeer(peer ?? '') : [])]
  console.log(`| ${columns.join(' | ')} |\n| --- |${' ---: |'.repeat(columns.length - 1)}`)
  for (const name of names) {
    const taken = await roundsOf(builds, name, rounds)
    if ('failed' in taken) {
      console.log(`| ${name} | NOT MEASURED: ${taken.failed} |${' |'.repeat(columns.length - 2)}`)
      continue
    }
    const [old = [], now = [], hand] = taken
    const ratiosOf = (what: keyof Taken, to = old) =>
      summaryOf(now.map((each, at) => each[what] / (to[at]?.[what] ?? Number.NaN)))
    const median = (side: readonly Taken[], what: keyof Taken) => medianOf(side.map((each) => each[what]))
    const cpu = ratiosOf('cpu')
    const cells = [
      name,
      median(old, 'cpu').toFixed(2),
      median(now, 'cpu').toFixed(2),
      cpu.p50.toFixed(3),
      `${cpu.p10.toFixed(2)}–${cpu.p90.toFixed(2)}`,
      ratiosOf('real').p50.toFixed(3),
    ]
    if (server !== undefined)
      cells.push(...[old, now].map((side) => median(side, 'server').toFixed(2)), ratiosOf('server').p50.toFixed(3))
    if (byHand && hand === undefined) cells.push('', '', '')
    else if (hand !== undefined)
      cells.push(
        ...[hand, now].map((side) => median(side, 'real').toFixed(1)),
        `${(1 / ratiosOf('real', hand).p50).toFixed(2)} ×`,
      )
    console.log(`| ${cells.join(' | ')} |`)
  }
}

/** `failed`: one of the builds could not run the operation. A peer that cannot is left out. */
async function roundsOf(builds: readonly Build[], name: string, rounds: number): Promise<Taken[][] | NotTaken> {
  const taken: Taken[][] = builds.map(() => [])
  const without = new Set<number>()
  const warmUp = Math.ceil(rounds / 4)
  for (let round = 0; round < warmUp + rounds; round++) {
    for (const at of round % 2 === 0 ? builds.keys() : [...builds.keys()].reverse()) {
      const each = without.has(at) ? undefined : await builds[at]?.round(name, round)
      if (each === undefined) continue
      if (!('failed' in each)) {
        if (round >= warmUp) taken[at]?.push(each)
      } else if (at < 2) return { failed: `${at === 0 ? 'old' : 'new'}: ${each.failed}` }
      else without.add(at)
    }
  }
  return taken.filter((_, at) => !without.has(at))
}

async function inTurn(urls: readonly [string, string, string?], server?: number): Promise<void> {
  const durability = values.normal ? 'normal' : 'full'
  const as = { durability, server }
  const log = values.subscribed ? 'subscribed' : replica
  const builds = [
    new Build(before, urls[0], as),
    new Build(after, urls[1], { ...as, outcomeTokens: values.tokens, log }),
  ]
  if (urls[2] !== undefined && peer !== undefined) builds.push(new Build(after, urls[2], { ...as, side: peer }))
  await Promise.all(builds.map((build) => build.opened()))
  if (values['same-indexes']) await sameIndexes(urls[1], urls[0])
  // For two seconds after a name in the folder has changed, a durable commit looks at more than the folder.
  await sleep(QUIET_MS)
  await compared(builds, values.only ?? Object.keys(OPERATIONS), server)
  for (const build of builds) await build.close()
}

async function onPostgres(server: Server): Promise<void> {
  const main = await mainProcessOf(server)
  await withDatabase(server, (one) =>
    withDatabase(server, (two) =>
      peer !== undefined ? withDatabase(server, (three) => inTurn([one, two, three], main)) : inTurn([one, two], main),
    ),
  )
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '20' },
    normal: { type: 'boolean', default: false },
    postgres: { type: 'boolean', default: false },
    tokens: { type: 'boolean', default: false },
    subscribed: { type: 'boolean', default: false },
    replicated: { type: 'boolean', default: false },
    'same-indexes': { type: 'boolean', default: false },
    'by-hand': { type: 'boolean', default: false },
    'postgres-js': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const [before = '', after = ''] = positionals
const peer = values['by-hand'] ? 'pg' : values['postgres-js'] ? 'postgres.js' : undefined
const folder = temporaryFolder('meshstore-builds-')
/** The folder of NEW's replica. */
const replica = values.replicated ? join(folder, 'replica') : undefined
try {
  if (values.help || positionals.length !== 2) console.log(HELP)
  else if (values.postgres || values.tokens) await withServer(onPostgres)
  else await inTurn([join(folder, 'old.db'), join(folder, 'new.db')])
} catch (error) {
  if (!(error instanceof NoServer)) throw error
  console.log(`NOT MEASURED: ${error.message}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
