/** Disks that fail a process, each as really as the machine allows. */
import { spawnSync } from 'node:child_process'
import { statfsSync, statSync } from 'node:fs'
import type { StorageErrorCode } from '../../src/index.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'

export interface Disk extends Disposable {
  readonly folder: TemporaryFolder
  /** From now on the process finds room for little more. */
  fill(pid: number, database: string): void
  /** There is room again. */
  heal(pid: number): void
}

export interface KindOfDisk {
  readonly name: string
  /** The code with which a write is refused: it fails in COMMIT. */
  readonly writing: StorageErrorCode
  /** The code with which a backup is refused. */
  readonly backingUp: StorageErrorCode
  /** `undefined` where this machine cannot make one. */
  make(): Disk | undefined
}

const ROOM = 400_000

function succeeds(command: string, ...args: string[]): boolean {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status === 0) return true
  console.warn(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`)
  return false
}

function run(command: string, ...args: string[]): void {
  if (!succeeds(command, ...args)) throw new Error(`${command} failed.`)
}

/** A file system in memory that is too small. Needs root. */
export const fullDisk: KindOfDisk = {
  name: 'a disk that is full',
  writing: 'STORAGE_FULL',
  backingUp: 'STORAGE_FULL',
  make: () => {
    const folder = temporaryFolder()
    if (!succeeds('mount', '-t', 'tmpfs', '-o', 'size=64m,mode=700', 'tmpfs', folder.path)) {
      folder[Symbol.dispose]()
      return undefined
    }
    const resize = (bytes: number): void => run('mount', '-o', `remount,size=${bytes}`, folder.path)
    return {
      folder,
      fill: () => {
        const { blocks, bfree, bsize } = statfsSync(folder.path)
        resize((blocks - bfree) * bsize + ROOM)
      },
      heal: () => resize(64 * 1024 * 1024),
      [Symbol.dispose]: () => {
        run('umount', folder.path)
        folder[Symbol.dispose]()
      },
    }
  },
}

/** No file of the process may become larger: its writes fail with EFBIG, which is an I/O error to SQLite. */
const failing: KindOfDisk = {
  name: 'a disk that reports errors',
  writing: 'OUTCOME_UNKNOWN',
  backingUp: 'UNAVAILABLE',
  make: () => {
    if (!succeeds('prlimit', '--version')) return undefined
    const folder = temporaryFolder()
    const limit = (pid: number, bytes: number | 'unlimited'): void =>
      run('prlimit', '--pid', String(pid), `--fsize=${bytes}:unlimited`)
    return {
      folder,
      fill: (pid, database) => limit(pid, statSync(`${database}-wal`).size + ROOM),
      heal: (pid) => limit(pid, 'unlimited'),
      [Symbol.dispose]: () => folder[Symbol.dispose](),
    }
  },
}

export const kindsOfDisk: readonly KindOfDisk[] = [fullDisk, failing]
