import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { childPath } from '../child.ts'
import type { Cell, ComparisonTable, TableRow } from '../comparison-table.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { largeFile, NODES } from '../data.ts'
import { type Summary, summaryOf } from '../statistics.ts'

const PROCESSES = [1, 2, 4, 8]
const SIDES = ['meshstore', 'better-sqlite3']
const MILLISECONDS = { quick: 500, full: 3_000 }
const ROUNDS = { quick: 1, full: 3 }

interface Said {
  readonly writes: number
  /** Milliseconds. */
  readonly worst: number
  readonly failures: number
}

/** Processes that all write into one file, each one row after the other. */
export const contention: Benchmark = {
  name: 'contention',
  run: async (context) => {
    const rows: TableRow[] = []
    for (const processes of PROCESSES) rows.push(...(await contended(context, processes)))
    return [
      {
        title: 'SQLite: processes that write into one file, durable',
        columns: SIDES,
        rows,
        notes: ["better-sqlite3 by hand waits for a lock as long as its default says, 5 s, in SQLite's own steps."],
        peers: true,
      } satisfies ComparisonTable,
    ]
  },
}

async function contended(context: Context, processes: number): Promise<TableRow[]> {
  const milliseconds = context.quick ? MILLISECONDS.quick : MILLISECONDS.full
  const found: Said[][] = SIDES.map(() => [])
  for (let round = 0; round < (context.quick ? ROUNDS.quick : ROUNDS.full); round++) {
    for (let turn = 0; turn < SIDES.length; turn++) {
      const which = (round + turn) % SIDES.length
      const side = SIDES[which]
      context.progress(`${processes} processes: ${side}`)
      const file = await largeFile(newFile(context, 'contention'), NODES)
      const said = await Promise.all(
        (await ready(side === 'meshstore' ? 'ours' : 'raw', file, processes, milliseconds)).map((go) => go()),
      )
      found[which]?.push({
        writes: (said.reduce((sum, { writes }) => sum + writes, 0) * 1_000) / milliseconds,
        worst: Math.max(...said.map(({ worst }) => worst)),
        failures: said.reduce((sum, { failures }) => sum + failures, 0),
      })
    }
  }
  const row = (what: string, unit: TableRow['unit'], of: (said: Said) => number, summary = summaryOf): TableRow => {
    const figures = found.map((rounds) => rounds.map(of))
    const cells = figures.map((own, which): Cell => {
      const ratio = own.map((figure, round) => figure / (figures[0]?.[round] ?? Number.NaN))
      return { value: summary(own), ratio: which === 0 || unit === '' ? undefined : summaryOf(ratio) }
    })
    return { name: `${processes} ${processes === 1 ? 'process' : 'processes'}: ${what}`, unit, cells }
  }
  return [
    row('writes', '/s', ({ writes }) => writes),
    row('longest wait', 'ms', ({ worst }) => worst, worstOf),
    row('failed', '', ({ failures }) => failures, worstOf),
  ]
}

/** An event in any round counts. */
function worstOf(figures: readonly number[]): Summary {
  const most = Math.max(...figures)
  return { ...summaryOf(figures), p50: most }
}

/** Processes that wait for the start. */
async function ready(
  side: string,
  file: string,
  processes: number,
  milliseconds: number,
): Promise<(() => Promise<Said>)[]> {
  const waiting = Array.from({ length: processes }, async (_, n) => {
    const args = [childPath('contend.ts'), side, file, `writer-${n}`, String(milliseconds)]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    await lines.next()
    return async (): Promise<Said> => {
      const gone = once(child, 'exit')
      child.stdin.write('\n')
      const { value = '' } = await lines.next()
      const [code] = await gone
      if (code !== 0) throw new Error(`A process that writes ended with ${code}.`)
      return JSON.parse(value)
    }
  })
  return Promise.all(waiting)
}
