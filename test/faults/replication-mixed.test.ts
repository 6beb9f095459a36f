/** A tool mixes the segments of two chains: nothing is restored or followed that never was. */
import { copyFileSync, cpSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { Follower } from '../../src/replication/follow.ts'
import { placeOf } from '../../src/replication/open-place.ts'
import { restoreMoment } from '../../src/replication/restore.ts'
import { byHand, contentOf, objectsIn } from '../replication/support/replicas.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { node } from '../support/samples.ts'
import { type Mistake, MistakenSource } from './cluster/mistaken-source.ts'
import { shows } from './shown.ts'

const BEFORE = 3
/** The copy ships one segment more, which the mixed place gets. */
const AFTER = 3

const READ = { placeOf, restoreMoment, Follower }

/** Nothing compares a segment with the hash of the segment before it. */
const NO_PREV: Mistake = [
  { file: 'src/replication/replay.ts', from: 'header.prev !== reached.hash || ', to: '' },
  {
    file: 'src/replication/follow.ts',
    from: 'if (header.prev !== this.#mark.hash)',
    to: 'if (header.prev === undefined)',
  },
]

async function mistakenReaders(root: string): Promise<typeof READ> {
  const load = (name: string): Promise<unknown> => import(`${root}/src/replication/${name}.ts`)
  const modules = await Promise.all(['open-place', 'restore', 'follow'].map(load))
  return Object.assign({}, ...(modules as object[]))
}

type Content = Awaited<ReturnType<typeof contentOf>>

/** Ships one segment for each id. Returns the content after each. */
async function ship(url: string, to: string, ids: readonly string[]): Promise<Content[]> {
  await using store = await openStorage({ url, ...byHand(to) })
  const states: Content[] = []
  for (const id of ids) {
    await store.nodes.save(node(id))
    // Both databases change this row.
    await store.nodes.save(node('last', { protocols: [id] }))
    await store.flushReplica()
    states.push(await contentOf(store))
  }
  return states
}

const idsOf = (who: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${who}-${n}`)

interface Mixed {
  readonly to: string
  /** Every state that either database ever had. */
  readonly states: readonly Content[]
  /** The last one of which the place holds an unbroken chain. */
  readonly last: Content | undefined
}

/** A machine's disk is copied, both machines go on, and a tool copies what is new in one place into the other. */
async function mixed(folder: TemporaryFolder): Promise<Mixed> {
  const [url, to] = [folder.file('mesh.db'), folder.file('replica')]
  const [copiedUrl, copiedTo] = [folder.file('copy.db'), folder.file('copied')]
  const before = await ship(url, to, idsOf('before', BEFORE))
  copyFileSync(url, copiedUrl)
  cpSync(to, copiedTo, { recursive: true })
  const ours = await ship(url, to, idsOf('ours', AFTER))
  const theirs = await ship(copiedUrl, copiedTo, idsOf('theirs', AFTER + 1))
  expect(objectsIn(copiedTo).length).toBe(objectsIn(to).length + 1)
  cpSync(copiedTo, to, { recursive: true, force: false })
  return { to, states: [...before, ...ours, ...theirs], last: ours.at(-1) }
}

interface Found {
  readonly restored: Content
  readonly problem: string | undefined
  readonly followed: Content
  readonly code: unknown
}

async function read({ to }: Mixed, folder: TemporaryFolder, by: typeof READ): Promise<Found> {
  const [restoredUrl, standbyUrl] = [folder.file('restored.db'), folder.file('standby.db')]
  const { problem } = await by.restoreMoment(by.placeOf(to), restoredUrl, { moment: undefined })
  const follower = await by.Follower.open(by.placeOf(to), standbyUrl)
  const code = await follower.catchUp().then(
    () => undefined,
    (error: { code?: unknown }) => error.code,
  )
  await follower.close()
  await using restored = await openStorage(restoredUrl)
  await using standby = await openStorage(standbyUrl)
  return { restored: await contentOf(restored), problem, followed: await contentOf(standby), code }
}

const isOneOf = (states: readonly Content[], found: Content): boolean =>
  states.some((state) => JSON.stringify(state) === JSON.stringify(found))

describe('the segments of two copies of a database in one place', () => {
  test('end a restore and a standby at the last segment of one chain', async () => {
    using folder = temporaryFolder()
    const place = await mixed(folder)
    const { restored, problem, followed, code } = await read(place, folder, READ)
    expect([isOneOf(place.states, restored), isOneOf(place.states, followed)]).toEqual([true, true])
    expect(restored).toEqual(place.last)
    expect(followed).toEqual(place.last)
    expect(problem).toContain('does not follow the segment before it')
    expect(code).toBe('BACKUP_INVALID')
    shows('segments of two chains in one place: the mixed one was refused by a restore and a standby')
  })

  test('control: without the hash of the segment before, they make a state that never was', async () => {
    using folder = temporaryFolder()
    using copy = new MistakenSource(NO_PREV)
    const place = await mixed(folder)
    const { restored, problem, followed, code } = await read(place, folder, await mistakenReaders(copy.root))
    expect([isOneOf(place.states, restored), isOneOf(place.states, followed)]).toEqual([false, false])
    expect([problem, code]).toEqual([undefined, undefined])
  })
})
