import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FolderPlace } from '../../src/replication/folder.ts'
import { prune } from '../../src/replication/prune.ts'
import { sqliteFile } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { contentOf, objectsIn, restored, shipping } from './support/replicas.ts'

const HOUR_MS = 3_600_000

test('every moment of 24 hours stays, and before that the bases that are kept', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  const place = new FolderPlace(to)
  await using opened = await sqliteFile.open()
  let time = Date.parse('2026-01-01T00:00:00Z')
  await using it = await shipping(opened.url, place, { now: () => new Date(time), baseEverySegments: 6 })
  const expected = new Map<string, unknown>()
  // Five days; each step is two hours.
  for (let step = 0; step < 60; step++) {
    await it.store.nodes.save(node('n', { routesDiscovered: step }))
    await it.shipper.flush()
    expected.set(new Date(time).toISOString(), await contentOf(it.store))
    time += 2 * HOUR_MS
  }
  const before = objectsIn(to).length
  const now = new Date(time)
  expect(await prune(place, { daily: 2 }, now)).toMatchObject({ segments: expect.any(Number) })
  expect(objectsIn(to).length).toBeLessThan(before)
  const moments = [...expected]
  const ofDay = moments.filter(([at]) => now.getTime() - Date.parse(at) <= 24 * HOUR_MS)
  expect(ofDay.length).toBeGreaterThan(10)
  for (const [at, content] of ofDay) {
    const found = await restored(to, at)
    expect(found).toMatchObject({ content })
    expect(found.problem).toBeUndefined()
  }
  // Nothing is deleted twice, and nothing more.
  const objects = objectsIn(to)
  expect(await prune(place, { daily: 2 }, now)).toEqual({ segments: 0, bases: 0 })
  expect(objectsIn(to)).toEqual(objects)
})

test('unfinished objects of killed processes go after an hour', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  const place = new FolderPlace(to)
  await using opened = await sqliteFile.open()
  await using it = await shipping(opened.url, place)
  await it.shipper.flush()
  const objects = objectsIn(to)
  const unfinished = join(to, 'g000001', 's0000000001.partial-0123456789ab')
  writeFileSync(unfinished, '')
  await prune(place, { daily: 2 }, new Date())
  expect(existsSync(unfinished)).toBe(true)
  await prune(new FolderPlace(to, () => new Date(Date.now() + 2 * HOUR_MS)), { daily: 2 }, new Date())
  expect(existsSync(unfinished)).toBe(false)
  expect(objectsIn(to)).toEqual(objects)
})
