import { childPath, runNode } from '../child.ts'
import type { Benchmark, Context } from '../context.ts'
import { newFile } from '../context.ts'
import { filledFile, largeFile } from '../data.ts'
import { libraryPath } from '../driver.ts'
import { atMost, type Result } from '../result.ts'
import { summaryOf } from '../statistics.ts'

const MB = 1_000_000
const MIB = 1_048_576
const READS = 10_000
const MOST_RESIDENT_MB = 75
const MOST_ADDED_MIB = 27
const ROWS = { quick: 100_000, full: 1_000_000 }

export const memory: Benchmark = {
  name: 'memory',
  run: async (context) => [await afterReads(context), await whileIterating(context)],
}

async function afterReads(context: Context): Promise<Result> {
  const file = await filledFile(newFile(context, 'memory'))
  const resident = async (entry: string): Promise<number> => {
    const { stdout } = await runNode([childPath('memory.mjs'), entry, file, 'reads', String(READS)])
    return JSON.parse(stdout).resident / MB
  }
  const [ours, raw]: [number[], number[]] = [[], []]
  for (let round = 0; round < (context.quick ? 3 : 9); round++) {
    ours.push(await resident(libraryPath))
    raw.push(await resident('raw'))
  }
  return {
    name: `resident after ${READS.toLocaleString('en')} reads`,
    unit: 'MB',
    ours: summaryOf(ours),
    raw: summaryOf(raw),
    targets: [atMost(MOST_RESIDENT_MB, summaryOf(ours).p50, 'MB', `${MOST_RESIDENT_MB} MB`)],
  }
}

async function whileIterating(context: Context): Promise<Result> {
  const rows = context.quick ? ROWS.quick : ROWS.full
  context.progress(`writing ${rows.toLocaleString('en')} rows`)
  const file = await largeFile(newFile(context, 'iterate'), rows)
  const added = async (entry: string): Promise<number> => {
    const { stdout } = await runNode([childPath('memory.mjs'), entry, file, 'iterate'])
    const said: { rows: number; before: number; most: number } = JSON.parse(stdout)
    if (said.rows !== rows) throw new Error(`Of ${rows} rows ${said.rows} came.`)
    return (said.most - said.before) / MIB
  }
  context.progress(`iterating ${rows.toLocaleString('en')} rows`)
  const [ours, raw]: [number[], number[]] = [[], []]
  for (let round = 0; round < 3; round++) {
    ours.push(await added(libraryPath))
    raw.push(await added('raw'))
  }
  return {
    name: `added by iterating ${rows.toLocaleString('en')} rows`,
    unit: 'MiB',
    ours: summaryOf(ours),
    raw: summaryOf(raw),
    targets: [atMost(MOST_ADDED_MIB, summaryOf(ours).p50, 'MiB', `${MOST_ADDED_MIB} MiB`)],
  }
}
