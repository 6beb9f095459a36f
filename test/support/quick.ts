/** Where the tests put their files: in memory, where there is enough of it. */
import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** What all tests of a run have there at a time, at most, and a server with its databases. */
const ENOUGH = 4 * 1024 ** 3
const IN_MEMORY = '/dev/shm'

/**
 * A sync costs nothing there, which is a third of the time that the tests take. Nothing is tested less by it: a process that
 * is killed leaves what it wrote to the kernel, on a disk as in memory. What a power cut leaves is tested on disks of our own
 * (test/faults/volumes.ts), and what a sync costs by the benchmarks.
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
