/** Traces where a program writes, syncs, truncates, links, renames and removes, and kills it at one of these places. */
import { spawn, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { TemporaryFolder } from '../../support/folders.ts'

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

export const hasStrace = (): boolean => spawnSync('strace', ['--version']).status === 0

/** All that the program's main thread does to the files in a folder: the library does nothing to them elsewhere. */
export function pointsOf(folder: TemporaryFolder, command: readonly string[]): Point[] {
  const trace = folder.file('trace')
  const traced = spawnSync('strace', ['-y', '-s', '0', '-o', trace, '-e', `trace=${CALLS.join()}`, '--', ...command], {
    encoding: 'utf8',
  })
  if (traced.status !== 0) throw new Error(`It failed: ${traced.stderr}`)
  const counts = new Map<string, number>()
  const points: Point[] = []
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    const [, call] = /^(\w+)\(/.exec(line) ?? []
    if (call === undefined) continue
    const number = (counts.get(call) ?? 0) + 1
    counts.set(call, number)
    if (line.includes(folder.path)) points.push({ call, number })
  }
  return points
}

/** Sends SIGKILL as the call begins. `false`: the program came to its end without it. */
export function killedAt({ call, number }: Point, command: readonly string[]): Promise<boolean> {
  const inject = `inject=${call}:signal=SIGKILL:when=${number}`
  const child = spawn('strace', ['-o', '/dev/null', '-e', `trace=${call}`, '-e', inject, '--', ...command], {
    stdio: 'ignore',
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (_, signal) => resolve(signal === 'SIGKILL'))
  })
}
