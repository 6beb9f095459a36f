import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { QUICK } from './quick.ts'

/** A folder of its own removed when it is disposed of: `using folder = temporaryFolder()`. */
export interface TemporaryFolder extends Disposable {
  readonly path: string
  /** The path of something in it. */
  file(...names: string[]): string
  /** Writes a file and returns its path. */
  write(name: string, text: string): string
  /** Makes a symbolic link and returns its path. */
  link(name: string, target: string): string
}

export function temporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(QUICK, 'meshstore-test-'))
  const file = (...names: string[]): string => join(path, ...names)
  return {
    path,
    file,
    write: (name, text) => {
      writeFileSync(file(name), text)
      return file(name)
    },
    link: (name, target) => {
      symlinkSync(target, file(name))
      return file(name)
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
