/** Kills a process in the middle of its writes, and looks at what is there afterwards. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import Sqlite from 'better-sqlite3'
import { type Meshstore, openStorage } from '../../src/index.ts'
import { nodesOfWrite } from './crash-rows.ts'

const WRITER = fileURLToPath(new URL('./crash-writer.ts', import.meta.url))
/** A disk on which this takes longer has another problem. */
const PATIENCE_MS = 30_000

export interface Crash {
  /** Writes that the process was told are on disk. */
  readonly acknowledged: number
  /** The number of these that are there afterwards, whole. */
  readonly found: number
  /** Begun, and not acknowledged when it was killed: each may be there or not. */
  readonly unacknowledged: number
  readonly unacknowledgedFound: number
  /** Transactions of which a part is there. */
  readonly torn: number
  /** SQLite's own check of the whole file. */
  readonly integrity: string
}

/** Lets a process write to the file, kills it once it has so many acknowledgements, and opens the file again. */
export async function crash(file: string, afterAcknowledged: number): Promise<Crash> {
  const said = await killedWriter(file, afterAcknowledged)
  const integrity = integrityOf(file)
  await using store = await openStorage(file)
  const found = await judge(store, said)
  await removeAll(store, said.begun)
  return { ...found, integrity }
}

/** Compares the writes that a process reported with the rows that are there. */
export async function judge(store: Meshstore, { begun, acknowledged }: Said): Promise<Omit<Crash, 'integrity'>> {
  const result = { acknowledged: acknowledged.size, found: 0, unacknowledged: 0, unacknowledgedFound: 0, torn: 0 }
  for (const n of begun) {
    const { there, of } = await stored(store, n)
    const whole = there === of
    if (there > 0 && !whole) result.torn++
    if (acknowledged.has(n)) result.found += whole ? 1 : 0
    else {
      result.unacknowledged++
      result.unacknowledgedFound += whole ? 1 : 0
    }
  }
  return result
}

/** The numbers of writes. */
export interface Said {
  readonly begun: Set<number>
  readonly acknowledged: Set<number>
}

async function killedWriter(file: string, afterAcknowledged: number): Promise<Said> {
  const child = spawn(process.execPath, [WRITER, file], { stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close')
  const tooLong = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  const said: Said = { begun: new Set(), acknowledged: new Set() }
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [what, n] = line.split(' ')
      said[what === 'b' ? 'begun' : 'acknowledged'].add(Number(n))
    }
    // It goes on writing until the signal arrives, and what it still says is read to the end.
    if (said.acknowledged.size >= afterAcknowledged) child.kill('SIGKILL')
  })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  const [, signal] = await closed
  clearTimeout(tooLong)
  if (signal !== 'SIGKILL') throw new Error(`The process that was to be killed ended by itself: ${complaint}`)
  if (said.acknowledged.size < afterAcknowledged) throw new Error(`It wrote too little in ${PATIENCE_MS} ms.`)
  return said
}

function integrityOf(file: string): string {
  const raw = new Sqlite(file, { fileMustExist: true })
  try {
    return String(raw.pragma('integrity_check', { simple: true }))
  } finally {
    raw.close()
  }
}

/** How many of a write's nodes are there with the values that it gave them. */
async function stored(store: Meshstore, n: number): Promise<{ there: number; of: number }> {
  const expected = nodesOfWrite(n)
  const found = await Promise.all(
    expected.map(async ({ nodeId, interfaces, protocols, started, routesDiscovered }) => {
      const node = await store.nodes.get(nodeId)
      const given = JSON.stringify([interfaces, protocols, started, routesDiscovered])
      return node && JSON.stringify([node.interfaces, node.protocols, node.started, node.routesDiscovered]) === given
    }),
  )
  return { there: found.filter(Boolean).length, of: expected.length }
}

async function removeAll(store: Meshstore, writes: ReadonlySet<number>): Promise<void> {
  const ids = [...writes].flatMap((n) => nodesOfWrite(n).map(({ nodeId }) => nodeId))
  await Promise.all(ids.map((id) => store.nodes.delete(id)))
}
