/** Whether a folder is certainly as it was. No folder is looked at. */
import type { Stats } from 'node:fs'
import { expect, test } from 'vitest'
import { Folder } from '../../src/database/sqlite/folder.ts'

test('a folder that changed twice at the same ctime, with a look in between, is not called unchanged', () => {
  let now = 100_000
  const changed = { ino: 1, dev: 1, ctimeMs: now } as Stats
  const folder = new Folder(
    '',
    () => changed,
    () => new Date(now),
  )
  expect(folder.isUnchanged()).toBe(false)
  // The second change comes now. Its ctime is the same: a file system has steps of up to 2 s.
  now += 5_000
  expect(folder.isUnchanged()).toBe(false)
  expect(folder.isUnchanged()).toBe(true)
})

test('a folder with another ctime, another inode, or none has changed', () => {
  let found: Stats | undefined = { ino: 1, dev: 1, ctimeMs: 1 } as Stats
  const folder = new Folder(
    '',
    () => found,
    () => new Date(100_000),
  )
  const seen = (next: Partial<Stats> | undefined): boolean[] => {
    found = next && ({ ino: 1, dev: 1, ctimeMs: 1, ...next } as Stats)
    return [folder.isUnchanged(), folder.isUnchanged()]
  }
  expect(seen({})).toEqual([false, true])
  expect(seen({ ctimeMs: 2 })).toEqual([false, true])
  expect(seen({ ino: 2, ctimeMs: 2 })).toEqual([false, true])
  expect(seen(undefined)).toEqual([false, false])
  expect(seen({ ctimeMs: 0 })).toEqual([false, false])
})
