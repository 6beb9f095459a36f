/** A schedule over several processes, and in one that has nothing else to do. */
import { existsSync as isThere } from 'node:fs'
import { expect, test } from 'vitest'
import { listBackups } from '../../src/backup/folder.ts'
import { Script } from '../sqlite/support/script.ts'
import { temporaryFolder } from '../support/folders.ts'
import { contentOf, database, namesIn } from './support/files.ts'
import { eventually } from './support/scheduled.ts'

const script = await Script.bundle(new URL('programs/scheduled.ts', import.meta.url))

test('of processes with one folder, one makes the backup each time', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('data', 'mesh.db'), 2_000)
  const backups = folder.file('backups')
  const programs = ['a', 'b', 'c'].map((name) => script.start([path, backups, 'stay', name]))
  for (const program of programs) expect(await program.line()).toBe('open')
  await eventually('a fourth backup', () => isThere(backups) && listBackups(backups).backups.length >= 4)
  for (const program of programs) {
    program.send('close')
    expect(await program.line()).toBe('closed')
    expect(await program.ended).toEqual({ code: 0, signal: null })
    expect([...program.rest(), program.errors].join('')).toBe('')
  }
  const times = listBackups(backups).backups.map(({ createdAt }) => createdAt.getTime())
  const apart = times.slice(1).map((time, index) => time - (times[index] ?? 0))
  console.log(`3 processes, one second: ${times.length} backups, apart by ${apart.join(', ')} ms`)
  expect(apart.filter((milliseconds) => milliseconds < 1_000)).toEqual([])
  expect(namesIn(backups)).toHaveLength(2 * times.length)
})

test('a process that is done ends by itself, and the database is whole', async () => {
  using folder = temporaryFolder()
  const path = await database(folder.file('data', 'mesh.db'), 10)
  await using done = script.start([path, folder.file('backups')])
  expect(await done.line()).toBe('open')
  expect(await done.ended).toEqual({ code: 0, signal: null })
  expect(done.errors).toBe('')
  expect(contentOf(path)).not.toBe('damaged')
})
