/**
 * Two builds of the library in turn: what a change costs or gains. Each build runs in a process of its own on a database of
 * its own, and a round of one follows a round of the other. Processor time is compared, which other work on the machine
 * moves less than real time.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { OPERATIONS } from './build-operations.ts'
import { childPath } from './child.ts'
import { temporaryFolder } from './disk.ts'
import { NoServer, withDatabase, withServer } from './postgres-server.ts'
import { medianOf, summaryOf } from './statistics.ts'

const HELP = `node bench/builds.ts OLD NEW [OPTIONS]

OLD and NEW are checked-out trees that are built (npm run build).

  --only NAME       one operation; may be given several times
  --rounds N        rounds of each (20)
  --normal          durability 'normal'
  --postgres        on PostgreSQL
`

interface Taken {
  readonly cpu: number
  readonly real: number
}

class Build {
  readonly #child: ChildProcess

  constructor(tree: string, url: string, durability: string) {
    const entry = join(resolve(tree), 'dist/index.js')
    this.#child = fork(childPath('build.ts'), [entry, url, durability], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
  }

  async opened(): Promise<void> {
    await once(this.#child, 'message')
  }

  async round(name: string, round: number): Promise<Taken> {
    this.#child.send({ name, round })
    const [taken] = await once(this.#child, 'message')
    return taken
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit')
    this.#child.disconnect()
    await ended
  }
}

async function compared(builds: readonly [Build, Build], names: readonly string[], rounds: number): Promise<void> {
  const columns = ['', 'old, CPU µs', 'new, CPU µs', 'ratio', 'p10–p90', 'real time']
  console.log(`| ${columns.join(' | ')} |\n| --- |${' ---: |'.repeat(columns.length - 1)}`)
  for (const name of names) {
    const taken: [Taken[], Taken[]] = [[], []]
    const warmUp = Math.ceil(rounds / 4)
    for (let round = 0; round < warmUp + rounds; round++) {
      for (const side of round % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const)) {
        const each = await builds[side].round(name, round)
        if (round >= warmUp) taken[side].push(each)
      }
    }
    const ratiosOf = (what: keyof Taken) =>
      summaryOf(taken[1].map((each, at) => each[what] / (taken[0][at]?.[what] ?? 0)))
    const [cpu, real] = [ratiosOf('cpu'), ratiosOf('real')]
    const [before, after] = taken.map((side) => medianOf(side.map((each) => each.cpu)).toFixed(2))
    const cells = [
      name,
      before,
      after,
      cpu.p50.toFixed(3),
      `${cpu.p10.toFixed(2)}–${cpu.p90.toFixed(2)}`,
      real.p50.toFixed(3),
    ]
    console.log(`| ${cells.join(' | ')} |`)
  }
}

async function inTurn(urls: readonly [string, string]): Promise<void> {
  const durability = values.normal ? 'normal' : 'full'
  const builds = [new Build(before, urls[0], durability), new Build(after, urls[1], durability)] as const
  await Promise.all(builds.map((build) => build.opened()))
  const names = values.only ?? Object.keys(OPERATIONS)
  await compared([...builds], names, Number(values.rounds))
  for (const build of builds) await build.close()
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true },
    rounds: { type: 'string', default: '20' },
    normal: { type: 'boolean', default: false },
    postgres: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const [before = '', after = ''] = positionals
if (values.help || positionals.length !== 2) {
  console.log(HELP)
} else if (values.postgres) {
  await withServer((server) => withDatabase(server, (one) => withDatabase(server, (two) => inTurn([one, two])))).catch(
    (error) => {
      if (!(error instanceof NoServer)) throw error
      console.log(`NOT MEASURED: ${error.message}`)
    },
  )
} else {
  const folder = temporaryFolder('meshstore-builds-')
  try {
    await inTurn([join(folder, 'old.db'), join(folder, 'new.db')])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
