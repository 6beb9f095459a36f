/** `meshstore check PLACE`: what a replica can restore, and what is wrong with it. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { checkPlace } from '../../src/replication/check-place.ts'
import { FolderPlace } from '../../src/replication/folder.ts'
import { begin } from '../../src/replication/generation.ts'
import { runCommand } from '../cli/support/command.ts'
import { sqliteFile } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { objectsIn, restored, segmentFile, shipping } from './support/replicas.ts'

const SEGMENTS = 9
const now = new Date()

/** A place with nine segments, and a base at the first and the sixth. */
async function filled(to: string): Promise<void> {
  await using opened = await sqliteFile.open()
  await using it = await shipping(opened.url, new FolderPlace(to), { baseEverySegments: 4 })
  for (let segment = 1; segment <= SEGMENTS; segment++) {
    await it.store.nodes.save(node('n', { routesDiscovered: segment }))
    await it.shipper.flush()
  }
  expect(objectsIn(to).filter((name) => name.endsWith('.base.json'))).toHaveLength(2)
}

const flip = (file: string): void => {
  const bytes = readFileSync(file)
  const at = Math.floor(bytes.length / 2)
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  writeFileSync(file, bytes)
}
const checked = (to: string, quick = false) => checkPlace(new FolderPlace(to), { now, quick })

test('says what can be restored, and that nothing is wrong', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await filled(to)
  const before = objectsIn(to)
  const { code, stdout, stderr } = await runCommand(['check', to])
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/^Generation 1: from .*\(segment 1\) to .*\(segment 9\)\.\nThe newest moment is .* s ago\.\n/)
  const { stdout: json } = await runCommand(['check', to, '--json', '--quick'])
  expect(JSON.parse(json)).toMatchObject({
    place: to,
    generation: 1,
    newest: { generation: 1, segment: SEGMENTS },
    ageSeconds: expect.any(Number),
    segments: SEGMENTS,
    bases: 2,
    findings: [],
  })
  expect(objectsIn(to)).toEqual(before)
})

test('names a segment that is missing, and the moments that are lost', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await filled(to)
  rmSync(segmentFile(to, 3))
  const { code, stdout } = await runCommand(['check', to, '--quick'])
  expect(code).toBe(4)
  expect(stdout).toContain('g000001/0000000003.segment is missing or damaged. Nothing between ')
  const { spans } = await checked(to)
  expect(spans.map(({ from, to: end }) => [from.segment, end.segment])).toEqual([
    [1, 2],
    [6, 9],
  ])
  // The finding is true.
  expect((await restored(to, 'g000001/2')).problem).toBeUndefined()
  expect((await restored(to, 'g000001/5')).problem).toContain('is missing')
  expect((await restored(to)).problem).toBeUndefined()
})

test('reads each object: a flipped bit, a segment of another chain, a missing part, a newer version', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  const saidOf = async (): Promise<string[]> => {
    const { findings } = await checked(to)
    return findings.map(({ severity, message }) => `${severity}: ${message}`)
  }
  await filled(to)
  flip(segmentFile(to, 7))
  expect((await checked(to, true)).findings).toEqual([])
  expect(await saidOf()).toEqual([
    expect.stringContaining('error: g000001/0000000007.segment is damaged'),
    expect.stringContaining('0000000007.segment is missing or damaged. Nothing later of this generation'),
  ])
  expect((await checked(to)).newest).toMatchObject({ segment: 6 })

  // A valid object, which follows no other.
  const bytes = readFileSync(segmentFile(to, 8))
  const end = bytes.indexOf(0x0a)
  const rewritten = (change: object): void => {
    const header = { ...JSON.parse(bytes.subarray(0, end).toString()), ...change }
    const content = Buffer.concat([Buffer.from(JSON.stringify(header)), bytes.subarray(end, -32)])
    writeFileSync(segmentFile(to, 8), Buffer.concat([content, createHash('sha256').update(content).digest()]))
  }
  rewritten({ version: 99 })
  expect((await saidOf()).join('\n')).toContain('0000000008.segment was written by a newer version of this package')
  rewritten({ at: '2026-01-01T00:00:00.000Z' })
  expect((await saidOf()).join('\n')).toMatch(
    /0000000009\.segment does not follow|after .*0000000008\.segment does not/,
  )

  rmSync(join(to, 'g000001', '0000000006.base-000000'))
  expect((await saidOf()).join('\n')).toContain('0000000006.base-000000 is missing: this base is lost')
  expect((await checked(to)).spans.map(({ from }) => from.segment)).toEqual([1])
  flip(join(to, 'g000001', '0000000006.base.json'))
  expect((await saidOf()).join('\n')).toContain('0000000006.base.json is damaged: this base is lost')
})

test('warns of a generation without a base, and refuses what is no place', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await filled(to)
  mkdirSync(join(to, 'g000002'))
  await begin(new FolderPlace(to), 2, 'another', now)
  const { code, stdout } = await runCommand(['check', to])
  expect(code).toBe(3)
  expect(stdout).toContain('Generation 2 has no base yet')
  expect(await runCommand(['check', folder.path])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('holds no replica'),
  })
  expect(await runCommand(['check', to, '--url', 'sqlite:./other.db'])).toMatchObject({ code: 2 })
  for (const database of ['sqlite:./mesh.db', join(to, 'replica.json')])
    expect(await runCommand(['check', database])).toMatchObject({ code: 2, stderr: expect.stringContaining('--url') })
})

test('takes segments that were pruned for no damage', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await filled(to)
  for (const segment of [1, 2, 3, 4]) rmSync(segmentFile(to, segment))
  expect((await checked(to)).findings).toHaveLength(1)
  const later = new Date(now.getTime() + 25 * 3_600_000)
  expect((await checkPlace(new FolderPlace(to), { now: later })).findings).toEqual([])
})
