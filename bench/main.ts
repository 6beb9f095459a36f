/** `npm run bench`: the library beside the raw driver, in the same run, with the targets beside the figures. */
import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Benchmark } from './context.ts'
import { diskOf, syncTimes, temporaryFolder } from './disk.ts'
import { warnings } from './library.ts'
import { machine } from './machine.ts'
import type { Result } from './result.ts'
import { cache } from './rows/cache.ts'
import { copy } from './rows/copy.ts'
import { growth } from './rows/growth.ts'
import { inFlight } from './rows/in-flight.ts'
import { memory } from './rows/memory.ts'
import { postgres } from './rows/postgres.ts'
import { reads } from './rows/reads.ts'
import { start } from './rows/start.ts'
import { syncs } from './rows/syncs.ts'
import { writes } from './rows/writes.ts'
import { header, lineOf, TITLES } from './table.ts'

const BENCHMARKS: readonly Benchmark[] = [
  ...[syncs, reads, cache, writes, inFlight],
  ...[postgres, copy, start, memory, growth],
]
const NAMES = BENCHMARKS.map(({ name }) => name)

const HELP = `npm run bench [-- OPTIONS]

  --quick        under a minute: fewer rounds, smaller files
  --only NAME    one of: ${NAMES.join(', ')}; may be repeated
  --folder PATH  where to put the temporary files; by default the system's folder for them
  --json         one JSON document in place of the table
  --help

Ratios and medians of interleaved rounds are what to look at: other work on the machine moves the rest.`

interface Options {
  readonly quick: boolean
  readonly json: boolean
  readonly chosen: readonly Benchmark[]
  readonly parent: string | undefined
}

function options(): Options | 'help' {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      folder: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return 'help'
  const unknown = values.only?.find((name) => !NAMES.includes(name))
  if (unknown !== undefined) throw new Error(`There is no benchmark ${unknown}. There are: ${NAMES.join(', ')}.`)
  const chosen = BENCHMARKS.filter(({ name }) => values.only?.includes(name) ?? true)
  return { quick: values.quick, json: values.json, chosen, parent: values.folder }
}

async function measure({ quick, json, chosen, parent }: Options): Promise<void> {
  const folder = temporaryFolder('meshstore-bench-', parent)
  const progress = (text: string): void => {
    if (!json && process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
  }
  try {
    const on = machine()
    const disk = diskOf(folder, syncTimes(folder, { samples: 200, budgetMs: 2_000 }))
    if (!json) console.log(`${header(on, disk)}\n\n${TITLES}`)
    const results: Result[] = []
    for (const benchmark of chosen) {
      progress(benchmark.name)
      const rows = await benchmark.run({ folder, quick, progress })
      progress('')
      results.push(...rows)
      if (!json) for (const row of rows) console.log(lineOf(row))
    }
    if (json) console.log(JSON.stringify({ machine: on, disk, warnings: warnings(), quick, results }, null, 2))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

try {
  const chosen = options()
  if (chosen === 'help') console.log(HELP)
  else await measure(chosen)
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}
