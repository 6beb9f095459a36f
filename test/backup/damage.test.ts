/** A backup that is not as it was made is refused, wherever it was changed, and a restore of it changes nothing. */
import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { restoreBackup, StorageError, verifyBackup } from '../../src/index.ts'
import { integerFrom, randomFrom } from '../faults/random.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { backupOf, bytesIn, manifestOf } from './support/files.ts'

const FLIPS = Number(process.env.BACKUP_FLIPS ?? 400)
const SEED = Number(process.env.BACKUP_SEED ?? Math.floor(Math.random() * 2 ** 31))

let sound = Buffer.alloc(0)
let manifest = Buffer.alloc(0)
beforeAll(async () => {
  using folder = temporaryFolder()
  const { file } = await backupOf(folder, 'sound', 300)
  sound = readFileSync(file)
  manifest = readFileSync(manifestOf(file))
})

function writeSound(folder: TemporaryFolder): string {
  const file = folder.file('mesh.backup')
  writeFileSync(file, sound)
  writeFileSync(manifestOf(file), manifest)
  return file
}

const flipped = (bytes: Buffer, bit: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return copy
}

/** What each came to that was not refused as it should be. */
async function accepted(file: string, write: (bit: number) => void, bits: readonly number[]): Promise<string[]> {
  const wrong: string[] = []
  for (const bit of bits) {
    write(bit)
    const error: unknown = await verifyBackup(file).then(
      () => 'accepted',
      (refused: unknown) => refused,
    )
    const refused = error instanceof StorageError && error.code === 'BACKUP_INVALID' && error.message.length > 20
    if (!refused) wrong.push(`bit ${bit}: ${error}`)
  }
  return wrong
}

test(`of ${FLIPS} single bits all over the file, each is noticed`, async () => {
  using folder = temporaryFolder()
  const file = writeSound(folder)
  await verifyBackup(file)
  const random = randomFrom(SEED)
  const width = (sound.length * 8) / FLIPS
  // One in each of as many parts: no part of the file is left out.
  const bits = Array.from({ length: FLIPS }, (_, index) => Math.floor(index * width + random() * width))
  console.log(`${bits.length} flips over ${sound.length} bytes, BACKUP_SEED=${SEED}`)
  expect(new Set(bits).size).toBe(FLIPS)
  expect(await accepted(file, (bit) => writeFileSync(file, flipped(sound, bit)), bits)).toEqual([])
})

test('of the bits of the manifest, each is noticed', async () => {
  using folder = temporaryFolder()
  const file = writeSound(folder)
  const random = randomFrom(SEED)
  // A bit of each byte.
  const bits = Array.from({ length: manifest.length }, (_, byte) => byte * 8 + integerFrom(random, 0, 7))
  expect(bits.length).toBeGreaterThan(500)
  expect(await accepted(file, (bit) => writeFileSync(manifestOf(file), flipped(manifest, bit)), bits)).toEqual([])
})

test('cut off anywhere, or continued, it is refused', async () => {
  using folder = temporaryFolder()
  const file = writeSound(folder)
  const lengths = Array.from({ length: 60 }, (_, index) => Math.floor((index * sound.length) / 60))
  for (const length of lengths) {
    writeFileSync(file, sound.subarray(0, length))
    await expectCode(verifyBackup(file), 'BACKUP_INVALID')
  }
  writeFileSync(file, Buffer.concat([sound, Buffer.alloc(4096)]))
  await expectCode(verifyBackup(file), 'BACKUP_INVALID')
})

describe('a manifest that is not the one that was written beside the backup:', () => {
  const edit =
    (from: string | RegExp, to: string) =>
    (file: string): void => {
      const text = manifest.toString().replace(from, to)
      expect(text).not.toBe(manifest.toString())
      writeFileSync(manifestOf(file), text)
    }
  const spoilt: Record<string, (file: string) => void> = {
    'it is missing': (file) => rmSync(manifestOf(file)),
    'it has no time': edit(/"createdAt": "[^"]*"/, '"createdAt": "soon"'),
    'its time is no text': edit(/"createdAt": "[^"]*"/, '"createdAt": {}'),
    'its time is too large': edit(/"createdAt": "[^"]*"/, '"createdAt": 1e300'),
    'it has no tables': edit(/"tables": \{/, '"table": {'),
    'it says that it is of another program': edit('meshstore-backup', 'other-backup'),
    'it says that it has a version of no kind': edit('"version": 1', '"version": "1"'),
    'it says another size': edit(/"bytes": /, '"bytes": 1'),
  }
  test.each(Object.entries(spoilt))('%s', async (_, spoil) => {
    using folder = temporaryFolder()
    const file = writeSound(folder)
    spoil(file)
    const before = bytesIn(folder.path)
    await expectCode(verifyBackup(file), 'BACKUP_INVALID')
    await expectCode(restoreBackup(file, folder.file('mesh.db')), 'BACKUP_INVALID')
    expect(bytesIn(folder.path)).toEqual(before)
  })

  test('those of two backups of one size have been swapped', async () => {
    using folder = temporaryFolder()
    const [one, two] = [await backupOf(folder, 'one'), await backupOf(folder, 'two')]
    expect(one.bytes).toBe(two.bytes)
    renameSync(manifestOf(one.file), folder.file('kept'))
    renameSync(manifestOf(two.file), manifestOf(one.file))
    renameSync(folder.file('kept'), manifestOf(two.file))
    for (const { file } of [one, two]) await expectCode(verifyBackup(file), 'BACKUP_INVALID')
    // Together they may have another name.
    copyFileSync(one.file, folder.file('renamed'))
    copyFileSync(manifestOf(two.file), manifestOf(folder.file('renamed')))
    expect(await verifyBackup(folder.file('renamed'))).toEqual({ ...one, file: folder.file('renamed') })
  })
})
