/** The library beside the raw driver and its peers, in the same run, with the targets beside the figures. */
import { rmSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { BENCHMARKS } from './benchmarks.ts'
import { isTable } from './comparison-table.ts'
import type { Benchmark } from './context.ts'
import { diskOf, syncTimes, temporaryFolder } from './disk.ts'
import type { Document, Section } from './document.ts'
import { whenInterrupted } from './interruption.ts'
import { warnings } from './library.ts'
import { machine } from './machine.ts'
import { header, lineOf, linesOf, TITLES } from './table.ts'
import { targetLines } from './targets.ts'

const NAMES = BENCHMARKS.map(({ name }) => name)

const HELP = `npm run bench [-- OPTIONS]

  --quick        under two minutes: fewer rounds, smaller files
  --long         larger files: 2,000,000 nodes and 5,000,000 cached paths; 6 GB of temporary files
  --only NAME    one of: ${NAMES.join(', ')}; may be repeated
  --folder PATH  where to put the temporary files; by default the system's folder for them
  --json         one JSON document in place of the tables, from which bench/report.ts makes RESULTS.md
  --help

Ratios and medians of interleaved rounds are what to look at: other work on the machine moves the rest.`

interface Options {
  readonly quick: boolean
  readonly long: boolean
  readonly json: boolean
  readonly chosen: readonly Benchmark[]
  readonly parent: string | undefined
}

function options(): Options | 'help' {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
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
  if (values.quick && values.long) throw new Error('--quick or --long?')
  const { quick, long, json } = values
  return { quick, long, json, chosen, parent: values.folder }
}

async function measure({ quick, long, json, chosen, parent }: Options): Promise<void> {
  const folder = temporaryFolder('meshstore-bench-', parent)
  const removeFiles = (): void => rmSync(folder, { recursive: true, force: true })
  const release = whenInterrupted(removeFiles)
  const progress = (text: string): void => {
    if (!json && process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
  }
  const print = (text: string): void => {
    if (!json) console.log(text)
  }
  try {
    const when = new Date()
    const on = machine()
    const disk = diskOf(folder, syncTimes(folder, { samples: 200, budgetMs: 2_000 }))
    print(`${header(when, on, disk)}\n\n${TITLES}`)
    const sections: Section[] = []
    for (const { name, run } of chosen) {
      progress(name)
      const begun = performance.now()
      const outcomes = await run({ folder, quick, long, progress })
      progress('')
      sections.push({ benchmark: name, seconds: (performance.now() - begun) / 1_000, outcomes })
      for (const outcome of outcomes) print(isTable(outcome) ? linesOf(outcome) : lineOf(outcome))
    }
    const options = [...(quick ? ['--quick'] : []), ...(long ? ['--long'] : [])]
    print(targetLines(options, sections))
    const known = { when: when.toISOString(), options, machine: on, disk, warnings: warnings() }
    if (json) console.log(JSON.stringify({ ...known, sections } satisfies Document, null, 2))
  } finally {
    release()
    removeFiles()
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
