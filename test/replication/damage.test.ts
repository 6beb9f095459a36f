/** Damage is named, and everything before it is restored. */
import { createHash } from 'node:crypto'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { placeOf } from '../../src/replication/open-place.ts'
import { listMoments, verifyPlace } from '../../src/replication/verify.ts'
import { runCommand } from '../cli/support/command.ts'
import { sqliteFile } from '../support/backends.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { byHand, contentOf, restored, segmentFile } from './support/replicas.ts'

/** Six segments; each adds a node. */
async function replica(folder: TemporaryFolder): Promise<string> {
  const to = folder.file('replica')
  await using opened = await sqliteFile.open(byHand(to))
  for (let turn = 1; turn <= 6; turn++) {
    await opened.store.nodes.save(node(`n${turn}`))
    await opened.store.flushReplica()
  }
  expect((await restored(to)).content).toEqual(await contentOf(opened.store))
  return to
}

const flipped = (file: string, at: number): void => {
  const bytes = readFileSync(file)
  bytes.writeUInt8((bytes[at] ?? 0) ^ 1, at)
  writeFileSync(file, bytes)
}

const DAMAGES: Readonly<Record<string, (to: string) => void>> = {
  'a flipped bit': (to) => flipped(segmentFile(to, 4), 200),
  'a segment that was cut off': (to) =>
    writeFileSync(segmentFile(to, 4), readFileSync(segmentFile(to, 4)).subarray(0, -40)),
  'an empty segment': (to) => writeFileSync(segmentFile(to, 4), ''),
  'a missing segment': (to) => rmSync(segmentFile(to, 4)),
  'two segments that were swapped': (to) => {
    const [four, five] = [readFileSync(segmentFile(to, 4)), readFileSync(segmentFile(to, 5))]
    writeFileSync(segmentFile(to, 4), five)
    writeFileSync(segmentFile(to, 5), four)
  },
  'a segment of another chain, with a hash of its own': (to) => {
    const bytes = readFileSync(segmentFile(to, 4)).subarray(0, -32)
    const forged = Buffer.from(bytes.toString('latin1').replace(/"prev":"[0-9a-f]{2}/, '"prev":"00'), 'latin1')
    const hash = createHash('sha256').update(forged).digest()
    writeFileSync(segmentFile(to, 4), Buffer.concat([forged, hash]))
  },
}

for (const [name, damage] of Object.entries(DAMAGES)) {
  test(`${name} is named, and what came before is restored`, async () => {
    using folder = temporaryFolder()
    const to = await replica(folder)
    damage(to)
    const { content, problem, reached } = await restored(to)
    expect(content.nodes.map(({ nodeId }) => nodeId)).toEqual(['n1', 'n2', 'n3'])
    expect(reached.segment).toBe(3)
    expect(problem).toMatch(/0000000004\.segment .*Everything up to \d{4}-/)
    expect((await verifyPlace(placeOf(to))).problems).toEqual([problem])
    // Before the damage nothing is wrong.
    expect((await restored(to, 'g000001/3')).problem).toBeUndefined()

    const standby = folder.file('standby.db')
    const followed = await runCommand(['follow', '--from', to, '--to', standby, '--once'])
    expect(followed.code).toBe(4)
    expect(followed.stdout + followed.stderr).toContain('0000000004.segment ')
    const promoted = await runCommand(['promote', '--from', to, '--to', standby])
    expect(promoted).toMatchObject({ code: 4, stderr: '' })
    expect(promoted.stdout).toMatch(/Promoted: generation 2 .*\nLost: .*0000000004\.segment .*Everything up to \d{4}-/)
    await using store = await openStorage(standby)
    expect((await contentOf(store)).nodes.map(({ nodeId }) => nodeId)).toEqual(['n1', 'n2', 'n3'])
  })
}

test('a base with a flipped bit is refused, and named by --list and --verify', async () => {
  using folder = temporaryFolder()
  const to = await replica(folder)
  const generation = join(to, 'g000001')
  const [part = ''] = readdirSync(generation).filter((name) => name.includes('.base-'))
  flipped(join(generation, part), 150)
  await expect(restored(to)).rejects.toMatchObject({ code: 'BACKUP_INVALID' })
  const { problems } = await verifyPlace(placeOf(to))
  expect(problems).toEqual([expect.stringContaining(part)])
  const [manifest = ''] = readdirSync(generation).filter((name) => name.endsWith('.base.json'))
  flipped(join(generation, manifest), 50)
  expect((await listMoments(placeOf(to))).problems).toEqual([expect.stringContaining(manifest)])
})

test('a base whose rows are not those of its hashes is refused', async () => {
  using folder = temporaryFolder()
  const to = await replica(folder)
  const [manifest = ''] = readdirSync(join(to, 'g000001')).filter((name) => name.endsWith('.base.json'))
  const file = join(to, 'g000001', manifest)
  const body = JSON.parse(readFileSync(file, 'utf8')).body.replace(/"rows":1/, '"rows":2')
  writeFileSync(file, JSON.stringify({ body, sha256: createHash('sha256').update(body).digest('hex') }))
  await expect(restored(to)).rejects.toMatchObject({ code: 'BACKUP_INVALID' })
})

test('an object of a newer version is refused as such', async () => {
  using folder = temporaryFolder()
  const to = await replica(folder)
  const bytes = readFileSync(segmentFile(to, 6)).subarray(0, -32)
  const newer = Buffer.from(bytes.toString('latin1').replace('"version":1', '"version":9'), 'latin1')
  writeFileSync(segmentFile(to, 6), Buffer.concat([newer, createHash('sha256').update(newer).digest()]))
  await expect(restored(to)).rejects.toMatchObject({ code: 'SCHEMA_NEWER' })
})

test('gaps are named by --list', async () => {
  using folder = temporaryFolder()
  const to = await replica(folder)
  cpSync(to, folder.file('copy'), { recursive: true })
  rmSync(segmentFile(to, 3))
  expect((await listMoments(placeOf(to))).spans).toMatchObject([
    { generation: 1, from: { segment: 1 }, to: { segment: 2 }, missing: { first: 3, last: 3 } },
  ])
  expect((await listMoments(placeOf(folder.file('copy')))).spans).toMatchObject([{ to: { segment: 6 } }])
})

test('a damaged segment at the end is named by --list and --verify, and the moments before it are listed', async () => {
  using folder = temporaryFolder()
  const to = await replica(folder)
  flipped(segmentFile(to, 6), 200)
  const { spans, problems } = await listMoments(placeOf(to))
  expect(spans).toMatchObject([{ generation: 1, from: { segment: 1 }, to: { segment: 5 } }])
  expect(problems).toEqual([expect.stringContaining('0000000006.segment is damaged')])
  const verified = await verifyPlace(placeOf(to))
  expect(verified.problems).toEqual([expect.stringMatching(/0000000006\.segment is damaged.*Everything up to/)])
  expect(verified.spans).toEqual(spans)
})

test('a segment that was never shipped is refused', async () => {
  using folder = temporaryFolder()
  const to = await replica(folder)
  for (const [moment, why] of [
    ['g000001/7', 'generation 1 ends with segment 6'],
    ['g000001/0', 'generation 1 ends with segment 6'],
    ['g000002/1', 'there is no generation 2'],
  ] as const)
    await expect(restored(to, moment)).rejects.toMatchObject({ code: 'CONFIG', message: expect.stringContaining(why) })
})
