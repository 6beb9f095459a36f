import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'

/** Every file of a folder, by its bytes and its mode. Only while nobody in this process has one of them open. */
export function filesIn(folder: string): Record<string, string> {
  const entries = readdirSync(folder).map((name) => {
    const path = join(folder, name)
    const hash = createHash('sha256').update(readFileSync(path)).digest('hex')
    return [name, `${(statSync(path).mode & 0o777).toString(8)} ${hash}`]
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
