/** A machine of the cluster: all processes that run in its folder, also those that a server has forked or left behind. */
import { spawn } from 'node:child_process'
import { chownSync, closeSync, mkdirSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../../postgres/support/eventually.ts'

/** PostgreSQL refuses to run as root; `nobody` exists everywhere. */
const NOBODY = 65_534
const asRoot = process.getuid?.() === 0
export const identity = asRoot ? { uid: NOBODY, gid: NOBODY } : {}
/** Gives a file to the servers' user. */
export const give = (path: string): void => {
  if (asRoot) chownSync(path, NOBODY, NOBODY)
}

/** The processes whose working directory lies in the folder. No process of another program does: the folder is ours alone. */
export function processesIn(folder: string): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const where = readlinkSync(`/proc/${name}/cwd`)
      return where === folder || where.startsWith(`${folder}/`) ? [Number(name)] : []
    } catch {
      // It has ended, or is another user's.
      return []
    }
  })
}

export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended.
    }
  }
}

/** SIGSTOP first: else one process sees another die, and reacts. Twice, for what was forked meanwhile. */
export function killAll(folder: string): void {
  for (let pass = 0; pass < 2; pass++) signalAll(processesIn(folder), 'SIGSTOP')
  for (let pass = 0; pass < 2; pass++) signalAll(processesIn(folder), 'SIGKILL')
}

export class Machine {
  readonly name: string
  readonly folder: string
  readonly #parent: string
  readonly #command: readonly [program: string, ...args: string[]]

  constructor(parent: string, name: string, command: readonly [program: string, ...args: string[]]) {
    this.name = name
    this.folder = join(parent, name)
    this.#parent = parent
    this.#command = command
    mkdirSync(this.folder, { recursive: true, mode: 0o700 })
    give(this.folder)
  }

  get log(): string {
    return join(this.#parent, `${this.name}.log`)
  }

  /** Starts its program, unless that runs. */
  start(): void {
    if (this.runs) return
    const [program, ...args] = this.#command
    const log = openSync(this.log, 'a')
    const env = { PATH: '/usr/bin:/bin:/usr/sbin', LC_ALL: 'C.UTF-8', HOME: this.folder }
    // A session of its own: a Ctrl-C at the terminal is not one of the faults.
    const child = spawn(program, args, {
      ...identity,
      cwd: this.folder,
      env,
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    child.on('error', (error) => console.error(`${this.name} does not start: ${error.message}`))
    child.unref()
  }

  get runs(): boolean {
    return processesIn(this.folder).length > 0
  }

  /** The machine loses its power, and its peers are told: connections are closed. */
  async kill(): Promise<void> {
    const isGone = (): boolean => {
      killAll(this.folder)
      return !this.runs
    }
    await eventually(`${this.name} is gone`, isGone, 60_000)
  }

  /** The machine stands still, and says nothing. */
  freeze(): void {
    for (let pass = 0; pass < 2; pass++) signalAll(processesIn(this.folder), 'SIGSTOP')
  }

  thaw(): void {
    signalAll(processesIn(this.folder), 'SIGCONT')
  }
}
