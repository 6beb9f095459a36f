import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A folder of its own in the system's temporary one, removed when it is disposed of: `using folder = temporaryFolder()`. */
export interface TemporaryFolder extends Disposable {
  readonly path: string
  /** The path of something in it. */
  file(...names: string[]): string
}

export function temporaryFolder(): TemporaryFolder {
  const path = mkdtempSync(join(tmpdir(), 'meshstore-test-'))
  return {
    path,
    file: (...names) => join(path, ...names),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}
