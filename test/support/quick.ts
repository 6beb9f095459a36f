/** The folder for the tests' files: in memory, if there is enough of it. */
import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** The most that all tests of a run keep there at a time, and a server with its databases. */
const ENOUGH = 4 * 1024 ** 3
const IN_MEMORY = '/dev/shm'

/**
 * A sync costs nothing there, which is a third of the time that the tests take. Nothing is tested less by it: a process that
 * is killed leaves what it wrote to the kernel, on a disk as in memory. Power cuts are tested on
 * disks of our own (test/faults/volumes.ts); the benchmarks measure the cost of a sync.
 */
export const QUICK = isRoomy(IN_MEMORY) ? IN_MEMORY : tmpdir()

function isRoomy(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK)
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize >= ENOUGH
  } catch {
    return false
  }
}
