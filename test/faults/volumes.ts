/** File systems of our own, in a file each, of which the power can be cut. They need root, and Linux with loop devices. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from '../support/folders.ts'

export const FILE_SYSTEMS = ['ext4', 'xfs'] as const
export type FileSystem = (typeof FILE_SYSTEMS)[number]

/** XFS is made no smaller. The file has holes: it takes no more than what is written. */
const BYTES = 320 * 1024 * 1024

export interface Volume extends Disposable {
  readonly path: string
  /** From now on nothing more reaches the disk: what was not synced is lost, as when the power is cut. */
  cut(): void
  /** The power is back. */
  remount(): void
}

function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`)
}

export function volume(fileSystem: FileSystem): Volume {
  const folder = temporaryFolder()
  const [image, path] = [folder.file('image'), folder.file('mounted')]
  const mount = (): void => run('mount', '-o', 'loop', image, path)
  try {
    writeFileSync(image, '')
    truncateSync(image, BYTES)
    mkdirSync(path)
    run(`mkfs.${fileSystem}`, '-q', fileSystem === 'xfs' ? '-f' : '-F', image)
    mount()
  } catch (error) {
    folder[Symbol.dispose]()
    throw error
  }
  return {
    path,
    cut: () => {
      // Without writing its log first. ext4 has taken XFS's request for it since Linux 4.12.
      run('xfs_io', '-x', '-c', 'shutdown', path)
      try {
        writeFileSync(join(path, 'afterwards'), 'x', { flush: true })
      } catch {
        return
      }
      throw new Error(`${fileSystem} can still be written after it was shut down.`)
    },
    remount: () => {
      run('umount', path)
      mount()
    },
    [Symbol.dispose]: () => {
      spawnSync('umount', [path])
      folder[Symbol.dispose]()
    },
  }
}

/** Why there can be none here; `undefined` if there can. */
export function whyNone(fileSystem: FileSystem): string | undefined {
  try {
    using made = volume(fileSystem)
    made.cut()
    return undefined
  } catch (error) {
    return String(error)
  }
}
