import { cpSync, existsSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { inject } from 'vitest'
import { TreeCopy } from './tree-copy.ts'

/** A copy of a tree that the first test file to ask for it makes. Files that ask meanwhile make one too. */
export async function sharedTree(name: string, make: () => Promise<TreeCopy>): Promise<TreeCopy> {
  const kept = join(inject('shared'), 'trees', name)
  if (existsSync(kept)) return new TreeCopy(kept)
  const copy = await make()
  const mine = `${kept}-${process.pid}`
  cpSync(copy.root, mine, { recursive: true, verbatimSymlinks: true })
  try {
    renameSync(mine, kept)
  } catch {
    // Another was first.
    rmSync(mine, { recursive: true })
  }
  return copy
}
