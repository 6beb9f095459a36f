/** Reads the content of a place, and of a store. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Meshstore, openStorage } from '../../../src/index.ts'
import { configOf } from '../../../src/open/config.ts'
import { openTarget } from '../../../src/open/open.ts'
import { FolderPlace } from '../../../src/replication/folder.ts'
import { momentOf } from '../../../src/replication/moment.ts'
import { placeOf } from '../../../src/replication/open-place.ts'
import type { Place } from '../../../src/replication/place.ts'
import { restoreMoment } from '../../../src/replication/restore.ts'
import { Shipper, type ShipperOptions } from '../../../src/replication/shipper.ts'
import { sourceOf } from '../../../src/replication/source-of.ts'
import { dump } from '../../support/content.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { borrowDatabase } from '../../support/postgres-backend.ts'

/** Nodes and policies. A replica leaves the path cache out. */
export async function contentOf(store: Meshstore) {
  const { nodes, policies } = await dump(store)
  return { nodes, policies }
}

/** The content of a restored moment, and the report. */
export async function restored(to: string, at?: string) {
  using folder = temporaryFolder()
  const url = folder.file('restored.db')
  const report = await restoreMoment(placeOf(to), url, { moment: at === undefined ? undefined : momentOf(at) })
  await using store = await openStorage(url)
  return { ...report, content: await contentOf(store) }
}

/** The objects of a place, by their names. */
export const objectsIn = (to: string): string[] =>
  readdirSync(to, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.includes('/'))
    .sort()

export const segmentFile = (to: string, segment: number, generation = 1): string =>
  join(to, `g${String(generation).padStart(6, '0')}`, `${String(segment).padStart(10, '0')}.segment`)

/** Ships only when `flushReplica()` is called. */
export const byHand = (to: string) => ({ replicate: { to, everySeconds: 3_600 } })

interface Shipping extends AsyncDisposable {
  readonly store: Meshstore
  readonly shipper: Shipper
}

/** A store with a shipper of its own, to a place that a test may break. It ships when `flush()` is called. */
export async function shipping(url: string, place: Place, options: Partial<ShipperOptions> = {}): Promise<Shipping> {
  const config = configOf({ url })
  const database = await openTarget(config.target, config)
  const store = await openStorage(url)
  const shipper = new Shipper({
    source: () => sourceOf(database),
    place,
    now: () => new Date(),
    everyMs: 3_600_000,
    keep: { daily: 7 },
    ...options,
  })
  return {
    store,
    shipper,
    [Symbol.asyncDispose]: async () => {
      await shipper.stop()
      await database.close()
      await store.close()
    },
  }
}

/** A folder of which some calls are replaced. */
export function breaking(to: string, broken: (whole: Place) => Partial<Place>): Place {
  const whole = new FolderPlace(to)
  const methods: Place = {
    name: to,
    prepare: () => whole.prepare(),
    create: (name, bytes) => whole.create(name, bytes),
    get: (name) => whole.get(name),
    list: (folder, after) => whole.list(folder, after),
    folders: () => whole.folders(),
    remove: (name) => whole.remove(name),
  }
  return { ...methods, ...broken(methods) }
}

interface Target extends AsyncDisposable {
  readonly url: string
}

/** An empty database that its owner may change. */
export async function emptyOn(name: string): Promise<Target> {
  if (name === 'PostgreSQL') {
    const { owner, giveBack } = await borrowDatabase()
    return { url: owner, [Symbol.asyncDispose]: giveBack }
  }
  const folder = temporaryFolder()
  return { url: folder.file('standby.db'), [Symbol.asyncDispose]: async () => folder[Symbol.dispose]() }
}
