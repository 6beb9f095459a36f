/** A folder for what is costly to make, and is the same for all test files of a run; it is removed at the end. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { QUICK } from './quick.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    shared: string
  }
}

export default function setup(project: TestProject): () => void {
  const shared = mkdtempSync(join(QUICK, 'meshstore-shared-'))
  // Processes without root's rights run these files, too.
  chmodSync(shared, 0o755)
  project.provide('shared', shared)
  // Each of the many processes that the tests start would compile the same files.
  process.env.NODE_COMPILE_CACHE ??= join(shared, 'compiled')
  return () => rmSync(shared, { recursive: true, force: true })
}
