/** A disk that is full: an export says so, leaves no half of a file, and is done when there is room. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { exportTo, fileOutput, streamOutput, TABLE_NAMES } from '../../src/transfer/index.ts'
import { MAIN, runCommand, runProgram } from '../cli/support/command.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes } from '../support/samples.ts'
import { small } from '../support/small-disk.ts'
import { exported } from './support/transferred.ts'

const templates = temporaryFolder()
afterAll(() => templates[Symbol.dispose]())
const path = templates.file('mesh.db')
let whole = ''
beforeAll(async () => {
  const store = await openStorage(path)
  await store.nodes.createMany(manyNodes(3_000))
  await store.close()
  whole = (await exported(path)).text
})

async function exportFile(file: string): Promise<void> {
  await exportTo(path, await fileOutput(file), { tables: TABLE_NAMES, skipInvalid: false, onInvalid: () => {} })
}

describe('an export to a disk', () => {
  const rooms: [string, (size: number) => number][] = [
    ['that is full', () => 0],
    ['that is full after a page', () => 4_096],
    ['that is full in the middle of it', (size) => size / 2],
    ['that is full at its last line', (size) => size - 4_096],
  ]
  test.each(rooms)('%s is refused with STORAGE_FULL', async (_, room) => {
    using disk = small()
    if (disk === undefined) return
    mkdirSync(disk.folder.file('exports'))
    disk.leave(room(whole.length))
    const file = disk.folder.file('exports', 'mesh.ndjson')
    const { message } = await expectCode(exportFile(file), 'STORAGE_FULL')
    expect(message).toMatch(/The disk is full.* Make room/)
    expect(readdirSync(disk.folder.file('exports'))).toEqual([])
    disk.leave(2 * whole.length)
    await exportFile(file)
    expect(readdirSync(disk.folder.file('exports'))).toEqual(['mesh.ndjson'])
    expect(readFileSync(file, 'utf8')).toBe(whole)
  })

  test('says so as a command, and ends with 1', async () => {
    using disk = small()
    if (disk === undefined) return
    disk.leave(whole.length / 2)
    const file = disk.folder.file('mesh.ndjson')
    const { code, stdout, stderr } = await runCommand(['export', '--url', path, '--output', file])
    expect({ code, stdout, stderr }).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^STORAGE_FULL: /),
    })
    expect(existsSync(file)).toBe(false)
  })
})

test('a stream that is a file on a full disk is told apart from a reader that has gone', async () => {
  if (!existsSync('/dev/full')) return console.warn('NOT TESTED HERE: a stream to a full disk. It needs /dev/full.')
  const command = `'${process.execPath}' '${MAIN}' export --url '${path}' > /dev/full`
  expect(await runProgram('sh', ['-c', command])).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^STORAGE_FULL: The output is not complete\. /),
  })
})

test('a reader that goes at the last word is told apart, too', async () => {
  const gone = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
  const output = streamOutput(new Writable({ write: (_, __, done) => setImmediate(done, gone) }))
  await output.write('{}\n')
  await expect(output.finish()).rejects.toThrow('The program that read the output has closed it.')
})
