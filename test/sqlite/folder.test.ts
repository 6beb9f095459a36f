/** Whether a folder is certainly as it was. No folder is looked at. */
import type { Stats } from 'node:fs'
import { expect, test } from 'vitest'
import { Folder } from '../../src/database/sqlite/folder.ts'

test('a folder that changed twice at the same ctime, with a look in between, is not called unchanged', () => {
  let now = 100_000
  const changed = { ctimeMs: now } as Stats
  const folder = new Folder(
    () => changed,
    () => new Date(now),
  )
  expect(folder.isUnchanged()).toBe(false)
  // The second change comes now. Its ctime is the same: a file system has steps of up to 2 s.
  now += 5_000
  expect(folder.isUnchanged()).toBe(false)
  expect(folder.isUnchanged()).toBe(true)
})

test('a folder with another ctime, or none, has changed', () => {
  let ctimeMs = 1
  const folder = new Folder(
    () => ({ ctimeMs }) as Stats,
    () => new Date(100_000),
  )
  const seen = (next: number): boolean[] => {
    ctimeMs = next
    return [folder.isUnchanged(), folder.isUnchanged()]
  }
  expect(seen(1)).toEqual([false, true])
  expect(seen(2)).toEqual([false, true])
  expect(seen(0)).toEqual([false, false])
})
