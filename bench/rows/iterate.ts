import { childPath, run, runNode } from '../child.ts'
import type { Cell, ComparisonTable } from '../comparison-table.ts'
import { contest, type Round } from '../contest.ts'
import { type Benchmark, newFile } from '../context.ts'
import { filledFile, largeFile } from '../data.ts'
import { PYTHON } from '../python.ts'
import { type Entry, peerUrl, SQLITE_PEERS } from '../sqlite-peers.ts'
import { enterAll, isIn, whyNot } from './peers.ts'

const ROWS = { quick: 50_000, full: 1_000_000 }
const MIB = 1_048_576

/** A peer in a process of its own for each round: what it says, and after which time. */
const inProcess = async ({ file }: Entry, database: string, mode: 'first' | 'iterate') => {
  const [command, script] = PYTHON
  return file.endsWith('.py')
    ? run(command, [script, database, 'full', mode])
    : runNode([childPath('peer.ts'), peerUrl(file), database, mode])
}

/** The peers that can be run on a file at all: the others would fail in every round. */
const able = (database: string) =>
  enterAll(SQLITE_PEERS, async (entry) => {
    await inProcess(entry, database, 'first')
    const never = async (): Promise<never> => Promise.reject(new Error('It runs in a process of its own.'))
    return { name: entry.name, time: never, answer: never, close: async () => {} }
  })

/** All rows of a large table: how long it takes, and the memory that it adds. */
export const iterate: Benchmark = {
  name: 'iterate',
  run: async (context) => {
    const count = context.quick ? ROWS.quick : ROWS.full
    const name = `iterate ${count.toLocaleString('en')} rows`
    context.progress(`writing ${count.toLocaleString('en')} rows`)
    const file = await largeFile(newFile(context, 'iterate'), count)
    const entered = await able(file)
    const added = SQLITE_PEERS.map((): number[] => [])
    const rounds = SQLITE_PEERS.map((entry, which): Round | undefined => {
      if (!entered.some((each) => each.name === entry.name && isIn(each))) return undefined
      return async () => {
        context.progress(`${name}: ${entry.name}`)
        const said = JSON.parse((await inProcess(entry, file, 'iterate')).stdout)
        if (said.rows !== count) throw new Error(`${entry.name}: of ${count} rows ${said.rows} came.`)
        added[which]?.push((said.most - said.before) / MIB)
        return said.ms
      }
    })
    const times = await contest(rounds, { warmUp: 0, count: context.quick ? 1 : 3 })
    const costs = added.map((own): Round | undefined =>
      own.length === 0 ? undefined : async (round) => own[round] ?? 0,
    )
    const memory = await contest(costs, { warmUp: 0, count: added[0]?.length ?? 0 })
    return [
      table('SQLite: iterating', entered, [
        { name, unit: 'ms', cells: times },
        { name: 'memory it adds, at most', unit: 'MiB', cells: memory },
      ]),
    ]
  },
}

/** From before the process is started to the first row of an existing file: import, open, and a query. */
export const firstRow: Benchmark = {
  name: 'cold',
  run: async (context) => {
    const file = await filledFile(newFile(context, 'cold'))
    const entered = await able(file)
    const rounds = SQLITE_PEERS.map((entry): Round | undefined => {
      if (!entered.some((each) => each.name === entry.name && isIn(each))) return undefined
      return async () => {
        context.progress(`start: ${entry.name}`)
        return (await inProcess(entry, file, 'first')).firstOutputMs
      }
    })
    const cells: (Cell | undefined)[] = await contest(rounds, {
      warmUp: context.quick ? 0 : 1,
      count: context.quick ? 2 : 15,
    })
    return [
      table(
        'SQLite: start to the first row',
        entered,
        [{ name: 'import, open, first row', unit: 'ms', cells }],
        'A new process each time. Every peer is a TypeScript file, whose types Node strips at the start.',
        "Prisma's generated client is TypeScript too: an application that compiles it beforehand starts faster.",
      ),
    ]
  },
}

const table = (
  title: string,
  entered: Awaited<ReturnType<typeof able>>,
  rows: ComparisonTable['rows'],
  ...notes: readonly string[]
): ComparisonTable => ({
  title,
  columns: SQLITE_PEERS.map(({ name }) => name),
  rows,
  notes: [...whyNot(entered), ...notes],
  peers: true,
})
