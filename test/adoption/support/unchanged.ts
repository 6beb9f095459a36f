import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect } from 'vitest'

/** SQLite leaves an index of the log, and an empty log, if the last reader could not write. */
const isSidecar = (path: string): boolean =>
  path.endsWith('-shm') || (path.endsWith('-wal') && statSync(path).size === 0)

/** Every file of a folder, by its bytes and its mode. Only while nobody in this process has one of them open. */
export function filesIn(folder: string): Record<string, string> {
  const paths = readdirSync(folder).map((name) => join(folder, name))
  const files = paths.filter((path) => statSync(path).isFile() && !isSidecar(path))
  const entries = files.map((path) => {
    const hash = createHash('sha256').update(readFileSync(path)).digest('hex')
    return [basename(path), `${(statSync(path).mode & 0o777).toString(8)} ${hash}`]
  })
  return Object.fromEntries(entries)
}

/** Asserts that afterwards the folder is to the byte what it was, and returns what the work did. */
export async function changingNothing<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const before = filesIn(folder)
  const result = await work()
  expect(filesIn(folder)).toEqual(before)
  return result
}
