/** A disk with as much room as a test leaves it. */
import { spawnSync } from 'node:child_process'
import { statfsSync, writeFileSync } from 'node:fs'
import { type TemporaryFolder, temporaryFolder } from './folders.ts'

function mount(...args: string[]): boolean {
  const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' })
  if (status !== 0) console.warn(`mount ${args.join(' ')}: ${error?.message ?? stderr}`)
  return status === 0
}

export interface Small extends Disposable {
  readonly folder: TemporaryFolder
  /** So many bytes more have room. */
  leave(bytes: number): void
  readOnly(): void
}

/** A file system in memory. `undefined` where it cannot be made: it needs root. */
export function small(): Small | undefined {
  const folder = temporaryFolder()
  if (!mount('-t', 'tmpfs', '-o', 'size=64m,mode=700', 'tmpfs', folder.path)) {
    folder[Symbol.dispose]()
    console.warn('NOT TESTED HERE: a disk that is full. It needs root.')
    return undefined
  }
  // A size of nothing would be without limit.
  writeFileSync(folder.file('somebody’s'), 'x')
  const remount = (options: string): void => {
    if (!mount('-o', `remount,${options}`, folder.path)) throw new Error('The disk cannot be made smaller.')
  }
  return {
    folder,
    leave: (bytes) => {
      const { blocks, bfree, bsize } = statfsSync(folder.path)
      remount(`size=${(blocks - bfree) * bsize + Math.floor(bytes)}`)
    },
    readOnly: () => remount('ro'),
    [Symbol.dispose]: () => {
      spawnSync('umount', [folder.path])
      folder[Symbol.dispose]()
    },
  }
}
