import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { childPath, run, runNode } from '../child.ts'
import type { Benchmark, Context } from '../context.ts'
import { newFile } from '../context.ts'
import { filledFile } from '../data.ts'
import type { Durability } from '../raw-store.ts'
import type { Result } from '../result.ts'
import { summaryOf } from '../statistics.ts'

/** Fewer pages than SQLite's automatic checkpoint waits for, whose own syncs would be counted. */
const BATCHES = 100
/** SQLite's names for `PRAGMA synchronous`. */
const EXPECTED_SYNCHRONOUS = { full: 2, normal: 1 } as const

interface Said {
  commits: number
  synchronous: number[]
}

/** Durable means a sync for each commit: counted by a tracer of system calls, where there is one. */
export const syncs: Benchmark = {
  name: 'syncs',
  run: async (context) => [await counted(context, 'full'), await counted(context, 'normal')],
}

async function counted(context: Context, durability: Durability): Promise<Result> {
  const file = await filledFile(newFile(context, 'syncs'))
  const command = [childPath('syncs.ts'), file, durability, String(BATCHES)]
  const log = join(context.folder, `syncs-${durability}.log`)
  const why = whyNotTraced()
  const trace = ['-f', '-e', 'trace=fsync,fdatasync,access,faccessat,faccessat2', '-o', log, process.execPath]
  const { stdout } = why === undefined ? await run('strace', [...trace, ...command]) : await runNode(command)
  const { commits, synchronous }: Said = JSON.parse(stdout)
  const found = why === undefined ? syncsIn(readFileSync(log, 'utf8')) : undefined
  const setting = EXPECTED_SYNCHRONOUS[durability]
  const expected = durability === 'full' ? commits : 0
  return {
    name: `syncs, durability ${durability}`,
    unit: '',
    ours: summaryOf([found ?? Number.NaN]),
    targets: [
      ...(found === undefined
        ? []
        : [{ text: `${expected} for ${commits} commits`, value: found, unit: '' as const, met: found === expected }]),
      {
        text: `PRAGMA synchronous is ${setting}`,
        value: synchronous[0] ?? Number.NaN,
        unit: '' as const,
        met: synchronous.length === 1 && synchronous[0] === setting,
      },
    ],
    notes: why === undefined ? [] : [`Syncs were not counted: ${why}`],
  }
}

function whyNotTraced(): string | undefined {
  if (process.platform !== 'linux') return 'strace exists on Linux only.'
  const tried = spawnSync('strace', ['-o', '/dev/null', process.execPath, '--version'])
  if (tried.error !== undefined) return 'strace is not installed.'
  return tried.status === 0 ? undefined : 'strace may not trace here.'
}

function syncsIn(log: string): number {
  const lines = log.split('\n')
  const begin = lines.findIndex((line) => line.includes('/begin-counting-syncs'))
  const end = lines.findIndex((line) => line.includes('/end-counting-syncs'))
  if (begin === -1 || end === -1) throw new Error('The trace does not show where to count.')
  return lines.slice(begin, end).filter((line) => /\bf(data)?sync\(/.test(line)).length
}
