/** Standbys are promoted while the primary writes: nothing is lost that had been shipped, and the old primary is fenced. */
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { Follower } from '../../src/replication/follow.ts'
import { placeOf } from '../../src/replication/open-place.ts'
import { contentOf, restored } from '../replication/support/replicas.ts'
import { type LastingBackend, lastingBackends } from '../support/backends.ts'
import { bound } from '../support/bounds.ts'
import { temporaryFolder } from '../support/folders.ts'
import { borrowDatabase } from '../support/postgres-backend.ts'
import { node } from '../support/samples.ts'
import { small } from '../support/small-disk.ts'
import { type Mistake, MistakenSource } from './cluster/mistaken-source.ts'
import { shows } from './shown.ts'

const PROMOTIONS = bound('REPLICATION_PROMOTIONS', { short: 3, long: 20 })
const WRITES = 200
/** How long a place stays full. */
const FULL_MS = bound('REPLICATION_FULL_MS', { short: 100, long: 60_000 })

/** A primary does not look for a newer generation. */
const NO_FENCE: Mistake = [
  {
    file: 'src/replication/chain.ts',
    from: 'if (next === undefined) return',
    to: 'if (segmentName !== undefined) return',
  },
]

interface Target extends AsyncDisposable {
  readonly url: string
}

async function emptyOn(dialect: LastingBackend['name']): Promise<Target> {
  if (dialect === 'PostgreSQL') {
    const { owner, giveBack } = await borrowDatabase()
    return { url: owner, [Symbol.asyncDispose]: giveBack }
  }
  const folder = temporaryFolder()
  return { url: folder.file('standby.db'), [Symbol.asyncDispose]: async () => folder[Symbol.dispose]() }
}

interface Came {
  /** Acknowledged before the last moment that the old primary reported as shipped. */
  readonly compared: number
  /** The number of these that the new primary lacks. */
  readonly lost: number
  /** Acknowledged after that moment: the price of a copy that is some milliseconds old. */
  readonly late: number
  /** Whether the old primary noticed. */
  readonly isFenced: boolean
  /** The content of the place, and of the new primary. */
  readonly contents: readonly unknown[]
}

interface How {
  /** Opens the primary. */
  readonly open: typeof openStorage
  readonly standbyOn: LastingBackend['name']
  readonly writes: number
}

/** Promotes a standby while the primary writes, and lets the primary go on until it notices, or has shipped more. */
async function promoted(backend: LastingBackend, { open, standbyOn, writes }: How): Promise<Came> {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await using opened = await backend.open()
  await using target = await emptyOn(standbyOn)
  await using store = await open({ url: opened.url, busyTimeoutMs: 60_000, replicate: { to, everySeconds: 0.02 } })
  await store.flushReplica()
  const acknowledged: { id: string; at: number }[] = []
  let isOver = false
  const writing = (async () => {
    for (let turn = 0; !isOver; turn++) {
      await store.nodes.save(node(`n${turn}`))
      acknowledged.push({ id: `n${turn}`, at: Date.now() })
    }
  })()
  const follower = await Follower.open(placeOf(to), target.url)
  while (acknowledged.length < writes) {
    await follower.step()
    await new Promise((done) => setTimeout(done, 1))
  }
  await follower.promote()
  await follower.close()
  const before = acknowledged.length
  const shipped = async (): Promise<number> => (await store.health()).replication?.upTo?.getTime() ?? 0
  const isFenced = async (): Promise<boolean> => (await store.health()).replication?.problem?.code === 'MOVED'
  const hasShippedMore = async (): Promise<boolean> =>
    (await shipped()) > (acknowledged[before]?.at ?? Number.POSITIVE_INFINITY)
  while (!(await isFenced()) && !(await hasShippedMore())) await new Promise((done) => setTimeout(done, 5))
  isOver = true
  await writing
  const upTo = await shipped()
  await using standby = await openStorage({ url: target.url, replicate: { to, everySeconds: 3_600 } })
  const ids = new Set((await contentOf(standby)).nodes.map(({ nodeId }) => nodeId))
  const claimed = acknowledged.filter(({ at }) => at < upTo)
  const lost = claimed.filter(({ id }) => !ids.has(id)).length
  // The new primary goes on in the place, and nothing of the old one's later writes is there.
  await standby.nodes.save(node('new'))
  await standby.flushReplica()
  return {
    compared: claimed.length,
    lost,
    late: acknowledged.length - claimed.length,
    isFenced: await isFenced(),
    contents: [(await restored(to)).content, await contentOf(standby)],
  }
}

for (const backend of lastingBackends) {
  describe(`a replica of ${backend.name}`, () => {
    test(
      `of which a standby is promoted under load, ${PROMOTIONS} times`,
      async () => {
        let [compared, late] = [0, 0]
        for (let promotion = 0; promotion < PROMOTIONS; promotion++) {
          const standbyOn = lastingBackends[promotion % lastingBackends.length]?.name ?? backend.name
          const came = await promoted(backend, { open: openStorage, standbyOn, writes: WRITES + 30 * promotion })
          expect({ lost: came.lost, isFenced: came.isFenced }).toEqual({ lost: 0, isFenced: true })
          expect(came.contents[0]).toEqual(came.contents[1])
          compared += came.compared
          late += came.late
        }
        expect(compared).toBeGreaterThan(PROMOTIONS)
        shows(
          `${PROMOTIONS} promotions under load from ${backend.name}: 0 of ${compared} shipped writes lost, ${late} written later, each old primary fenced`,
        )
      },
      PROMOTIONS * 300_000,
    )

    test('control: a primary without the fence reports writes as shipped that are in no replica', async () => {
      using copy = new MistakenSource(NO_FENCE)
      const { openStorage: open }: { openStorage: typeof openStorage } = await import(`${copy.root}/src/index.ts`)
      const came = await promoted(backend, { open, standbyOn: backend.name, writes: WRITES })
      expect(came.isFenced).toBe(false)
      expect(came.lost).toBeGreaterThan(0)
    }, 300_000)
  })

  test(`a full place refuses no write of ${backend.name}, and is caught up with`, async () => {
    using disk = small()
    if (disk === undefined) return
    const to = disk.folder.file('replica')
    await using opened = await backend.open({ replicate: { to, everySeconds: 0.02 } })
    const { store } = opened
    await store.flushReplica()
    disk.leave(8_192)
    let turn = 0
    let said: string | undefined
    const problem = async () => {
      const found = (await store.health()).replication?.problem
      said = found?.message ?? said
      return found?.code
    }
    const begun = performance.now()
    for (; (await problem()) !== 'STORAGE_FULL' || turn < 300 || performance.now() < begun + FULL_MS; turn++)
      await store.policies.save({ policyId: `p${turn % 2_000}`, yamlContent: `# ${crypto.randomUUID().repeat(20)}\n` })
    expect(said).toContain(`The disk of ${to} is full.`)
    const seconds = (performance.now() - begun) / 1_000
    disk.leave(30_000_000)
    await store.flushReplica()
    expect(await problem()).toBeUndefined()
    const { content, problem: lost } = await restored(to)
    expect(lost).toBeUndefined()
    expect(content).toEqual(await contentOf(store))
    shows(`a place of ${backend.name} that was full for ${seconds.toFixed(1)} s: 0 of ${turn} writes refused`)
  })
}
