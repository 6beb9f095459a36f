/**
 * A backup that is not as it was made is refused, wherever it was changed, and a restore of it changes nothing.
 */
import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { restoreBackup, StorageError, verifyBackup } from '../../src/index.ts'
import { integerFrom, randomFrom } from '../faults/random.ts'
import { bound, SEED } from '../support/bounds.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { backupOf, bytesIn, contentOf, manifestOf } from './support/files.ts'

const FLIPS = bound('BACKUP_FLIPS', { brief: 100, short: 2_500, long: 50_000 })
const CUTS = bound('BACKUP_CUTS', { brief: 30, short: 500, long: 5_000 })
const TIMEOUT = { timeout: 600_000 + (FLIPS + CUTS) * 100 }

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

/** The outcome of each damage that was not refused as it should be. */
async function accepted(
  file: string,
  write: (where: number) => void,
  places: readonly number[],
  refused: () => void = () => {},
): Promise<string[]> {
  const wrong: string[] = []
  for (const where of places) {
    write(where)
    const error: unknown = await verifyBackup(file).then(
      () => 'accepted',
      (reason: unknown) => reason,
    )
    if (error instanceof StorageError && error.code === 'BACKUP_INVALID' && error.message.length > 20) refused()
    else wrong.push(`${where}: ${error}`)
  }
  return wrong
}

interface Judged {
  readonly wrong: readonly string[]
  /** How many SQLite's own check would have let through, and how many of those hold other rows. */
  readonly passed: number
  readonly changed: number
}

async function judged(file: string, write: (where: number) => void, places: readonly number[]): Promise<Judged> {
  const before = rowsOf(sound)
  let [passed, changed] = [0, 0]
  const wrong = await accepted(file, write, places, () => {
    const found = withoutHash(file)
    if (found !== undefined) passed++
    if (found !== undefined && found !== before) changed++
  })
  return { wrong, passed, changed }
}

/** The content of a file with which SQLite finds nothing wrong. */
function withoutHash(file: string): string | undefined {
  try {
    return contentOf(file).replace('damaged', '') || undefined
  } catch {
    return undefined
  }
}

function rowsOf(bytes: Buffer): string {
  using folder = temporaryFolder()
  writeFileSync(folder.file('mesh.db'), bytes)
  return contentOf(folder.file('mesh.db'))
}

test(`of ${FLIPS} single bits all over the file, each is noticed`, TIMEOUT, async () => {
  using folder = temporaryFolder()
  const file = writeSound(folder)
  await verifyBackup(file)
  const random = randomFrom(SEED)
  const width = (sound.length * 8) / FLIPS
  // One in each of as many parts: no part of the file is left out.
  const bits = Array.from({ length: FLIPS }, (_, index) => Math.floor(index * width + random() * width))
  expect(new Set(bits).size).toBe(FLIPS)
  const { wrong, passed, changed } = await judged(file, (bit) => writeFileSync(file, flipped(sound, bit)), bits)
  console.log(
    `${FLIPS} flips over ${sound.length} bytes, SEED=${SEED}: accepted ${wrong.length}; integrity_check alone lets ${passed} through, ${changed} of them with other rows`,
  )
  expect(wrong).toEqual([])
  // The hash is needed: leaving it out would be noticed here.
  expect(changed).toBeGreaterThan(FLIPS / 10)
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

test(`cut off at ${CUTS} places, or continued, it is refused`, TIMEOUT, async () => {
  using folder = temporaryFolder()
  const file = writeSound(folder)
  const random = randomFrom(SEED)
  // Nothing of it, all but the last byte, whole pages, and anything in between.
  const lengths = Array.from({ length: CUTS }, (_, index) => {
    const length = Math.floor(((index + random()) * sound.length) / CUTS)
    return index % 2 === 0 ? length : length - (length % 4_096)
  })
  const places = [0, ...lengths, sound.length - 1]
  const { wrong, passed } = await judged(file, (length) => writeFileSync(file, sound.subarray(0, length)), places)
  console.log(
    `${places.length} cuts, SEED=${SEED}: accepted ${wrong.length}; integrity_check alone lets ${passed} through`,
  )
  expect(wrong).toEqual([])
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
