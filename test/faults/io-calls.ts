/** Lists the calls by which a program changes the files in a folder; makes one of them fail, or kills the program there. */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'

/** As strace names them. Reading is no part of it: what cannot be read has tests of its own. */
const CALLS = [
  ['write', 'writev', 'pwrite64', 'pwritev', 'ftruncate'],
  ['fsync', 'fdatasync'],
  ['link', 'linkat', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat'],
].flat()

export interface Point {
  readonly call: string
  /** The first of its kind is 1. */
  readonly number: number
}

/** The fate of the call: it fails, once or from then on; or the process is killed as it begins. */
export type Fault = { readonly error: 'EIO' | 'ENOSPC'; readonly lasting: boolean } | 'kill'

export const hasStrace = (): boolean => spawnSync('strace', ['--version']).status === 0

/** All that the program's main thread does to the files in a folder: the library does nothing to them elsewhere. */
export function pointsOf(folder: string, command: readonly string[]): Point[] {
  const trace = `${folder}.trace`
  const traced = spawnSync('strace', ['-y', '-s', '0', '-o', trace, '-e', `trace=${CALLS.join()}`, '--', ...command], {
    encoding: 'utf8',
  })
  if (traced.status !== 0) throw new Error(`It failed: ${traced.stderr}`)
  const counts = new Map<string, number>()
  const points: Point[] = []
  for (const { call, line } of callsIn(trace)) {
    const number = (counts.get(call) ?? 0) + 1
    counts.set(call, number)
    if (line.includes(folder)) points.push({ call, number })
  }
  rmSync(trace)
  return points
}

function callsIn(trace: string): { call: string; line: string }[] {
  return readFileSync(trace, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, call] = /^(\w+)\(/.exec(line) ?? []
      return call === undefined ? [] : [{ call, line }]
    })
}

export interface Ran {
  /** The fault hit a call on the files in the folder. */
  readonly fired: boolean
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Longer than anything of this takes: who hangs is ended, and has no exit code. */
const LONGEST_MS = 60_000

const injectionOf = ({ call, number }: Point, fault: Fault): string =>
  fault === 'kill'
    ? `inject=${call}:signal=SIGKILL:when=${number}`
    : `inject=${call}:error=${fault.error}:when=${number}${fault.lasting ? '+' : ''}`

export function runWith(fault: Fault, point: Point, folder: string, command: readonly string[]): Promise<Ran> {
  const trace = `${folder}.trace`
  const options = ['-y', '-s', '0', '-o', trace, '-e', `trace=${point.call}`, '-e', injectionOf(point, fault)]
  const child = spawn('strace', [...options, '--', ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LONGEST_MS,
    killSignal: 'SIGTERM',
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      const hit = callsIn(trace).filter(({ line }) => line.includes('(INJECTED)') && line.includes(folder))
      rmSync(trace)
      resolve({ fired: fault === 'kill' ? signal === 'SIGKILL' : hit.length > 0, code, signal, stdout, stderr })
    })
  })
}
