/**
 * Writes as fast as it can, through the library or past it. The rows of one transaction agree: the writer's rows and its
 * policy have the number of its turn, its newest nodes are those of its last turns, and one row counts the turns of all.
 */
import Sqlite from 'better-sqlite3'
import { openStorage } from '../../../src/index.ts'
import { messages, say } from '../../sqlite/support/messages.ts'

export type How = 'library' | 'driver'
export const WRITERS: readonly How[] = ['library', 'library', 'driver', 'driver']
export const ROWS = 8
/** How many of the nodes that a writer creates are there at a time. */
export const NEWEST = 5

export const TOTAL = 'total'
export const rowId = (writer: number, row: number): string => `row-${row}-of-${writer}`
export const newestId = (writer: number, turn: number): string => `newest-of-${writer}-${turn}`
export const policyId = (writer: number): string => `policy-of-${writer}`
export const policyText = (turn: number): string => `turn: ${turn}\n`

interface Writer {
  turn(number: number): Promise<void>
  close(): Promise<void>
}

const rowsOf = (writer: number): string[] => Array.from({ length: ROWS }, (_, row) => rowId(writer, row))

async function throughLibrary(path: string, writer: number): Promise<Writer> {
  const store = await openStorage({ url: path, busyTimeoutMs: 600_000 })
  return {
    turn: async (number) => {
      await store.transaction(
        async (tx) => {
          for (const id of rowsOf(writer)) await tx.nodes.update(id, { routesDiscovered: number })
          await tx.policies.update(policyId(writer), { yamlContent: policyText(number) })
          await tx.nodes.create({ nodeId: newestId(writer, number), interfaces: [], protocols: [] })
          await tx.nodes.delete(newestId(writer, number - NEWEST))
          await tx.nodes.recordRoutes(TOTAL)
        },
        { timeoutMs: 600_000 },
      )
    },
    close: () => store.close(),
  }
}

async function pastLibrary(path: string, writer: number): Promise<Writer> {
  const raw = new Sqlite(path, { timeout: 0 })
  const count = raw.prepare('UPDATE nodes SET routes_discovered = ? WHERE node_id = ?')
  const note = raw.prepare('UPDATE policies SET yaml_content = ? WHERE policy_id = ?')
  const create = raw.prepare(
    "INSERT INTO nodes (node_id, interfaces, protocols, started, routes_discovered, created_at, updated_at) VALUES (?, '[]', '[]', 0, 0, 1, 1)",
  )
  const remove = raw.prepare('DELETE FROM nodes WHERE node_id = ?')
  const total = raw.prepare('UPDATE nodes SET routes_discovered = routes_discovered + 1 WHERE node_id = ?')
  const turn = raw.transaction((number: number) => {
    for (const id of rowsOf(writer)) count.run(number, id)
    note.run(policyText(number), policyId(writer))
    create.run(newestId(writer, number))
    remove.run(newestId(writer, number - NEWEST))
    total.run(TOTAL)
  })
  return {
    turn: async (number) => {
      // The driver's own waiting grows to 100 ms: among writers without a pause it would hardly have a turn.
      while (!tried(() => turn.immediate(number))) await new Promise((resolve) => setTimeout(resolve, 1))
      await new Promise((resolve) => setImmediate(resolve))
    },
    close: async () => void raw.close(),
  }
}

/** `false` while another has the lock. */
function tried(work: () => void): boolean {
  try {
    work()
    return true
  } catch (error) {
    if (error instanceof Sqlite.SqliteError && error.code.startsWith('SQLITE_BUSY')) return false
    throw error
  }
}

if (process.argv[2] !== undefined) await main(process.argv[2], Number(process.argv[3]))

/** Answers each question with the number of turns that were acknowledged. */
async function main(path: string, index: number): Promise<void> {
  const writer = await (WRITERS[index] === 'library' ? throughLibrary : pastLibrary)(path, index)
  let done = 0
  let running = true
  const writing = (async () => {
    while (running) {
      await writer.turn(done + 1)
      done++
    }
  })()
  for await (const order of messages<'count' | 'stop'>()) {
    if (order === 'stop') {
      running = false
      await writing
      await writer.close()
    }
    say(JSON.stringify(done))
  }
}
