/**
 * Work that holds a connection for long, on a cluster whose primary changes meanwhile: moves, copies, backups,
 * migrations.
 */
import { copyDatabase, type Meshstore, openStorage, StorageError, verifyBackup } from '../../../src/index.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { manyNodes } from '../../support/samples.ts'
import type { Cluster } from './cluster.ts'

const ROWS = 3_000

/** The code of a failure, or `done`. */
const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof StorageError ? error.code : String(error)),
  )

async function filled(path: string): Promise<Meshstore> {
  const store = await openStorage(path)
  await store.nodes.createMany(manyNodes(ROWS))
  return store
}

async function countIn(url: string): Promise<number> {
  await using store = await openStorage(url)
  return store.nodes.count()
}

export interface Attempted {
  /** The outcome of the attempt during which the primary changed. */
  readonly first: string
  /** The rows in the end, when it was tried until it was done. */
  readonly rows: number
}

/** Runs it while the primary changes, and again until it is done. */
async function until(first: string, again: () => Promise<string>): Promise<void> {
  for (let code = first; code !== 'done'; code = await again())
    if (code !== 'UNAVAILABLE') throw new Error(`It failed with ${code}.`)
}

/** Stops a move in the middle by a change of the primary, and goes on with it. */
export async function movedInto(cluster: Cluster, url: string): Promise<Attempted> {
  using folder = temporaryFolder()
  await using store = await filled(folder.file('mesh.db'))
  let changed: Promise<void> | undefined
  const first = await codeOf(
    store.moveTo(url, {
      onProgress: ({ step }) => {
        if (step !== 'checking') changed ??= cluster.switchover()
      },
    }),
  )
  await changed
  await until(first, () => codeOf(store.moveTo(url)))
  return { first, rows: await countIn(url) }
}

export async function copiedInto(cluster: Cluster, url: string): Promise<Attempted> {
  using folder = temporaryFolder()
  const path = folder.file('mesh.db')
  await (await filled(path)).close()
  let changed: Promise<void> | undefined
  const first = await codeOf(
    copyDatabase(path, url, {
      onProgress: ({ step }) => {
        if (step !== 'checking') changed ??= cluster.switchover()
      },
    }),
  )
  await changed
  const rows = await countIn(url)
  if (first !== 'done' && rows !== 0) throw new Error(`A copy failed with ${first}, and left ${rows} rows.`)
  await until(first, () => codeOf(copyDatabase(path, url)))
  return { first, rows: await countIn(url) }
}

export async function backedUp(cluster: Cluster, url: string): Promise<Attempted> {
  using folder = temporaryFolder()
  await using store = await openStorage(url)
  await store.nodes.createMany(manyNodes(ROWS))
  let changed: Promise<void> | undefined
  let backups = 0
  const backup = (): Promise<string> =>
    codeOf(
      store.backup(folder.file(`${++backups}.sqlite`), {
        onProgress: () => {
          changed ??= cluster.switchover()
        },
      }),
    )
  const first = await backup()
  await changed
  await until(first, backup)
  const { tables } = await verifyBackup(folder.file(`${backups}.sqlite`))
  return { first, rows: tables.nodes.rows }
}

/** Opens new databases, whose migrations run while the primary changes. */
export async function migrated(cluster: Cluster, url: string): Promise<Attempted> {
  const changed = cluster.switchover()
  const first = await codeOf(openStorage(`${url}&connect_timeout=60`).then((store) => store.close()))
  await changed
  await using store = await openStorage(url)
  await store.nodes.createMany(manyNodes(ROWS))
  return { first, rows: await store.nodes.count() }
}
