import { isDeepStrictEqual } from 'node:util'
import type { ComparisonTable } from '../comparison-table.ts'
import { type Benchmark, type Context, newFile } from '../context.ts'
import { filledFile, nodeId } from '../data.ts'
import { inFlight, READS, WRITES } from '../operations.ts'
import type { Contestant } from '../peer.ts'
import type { Durability } from '../raw-store.ts'
import { enter, SQLITE_PEERS } from '../sqlite-peers.ts'
import { closeAll, type Entered, enterAll, isIn, operationsTable } from './peers.ts'

/** Each peer on a file of its own with the same content, in the same folder. */
export const sqlitePeers: Benchmark = {
  name: 'peers',
  run: async (context) => [
    ...(await withPeers(context, 'full', async (entered) => {
      return [
        await operationsTable(context, 'SQLite: reads, one at a time', entered, READS, false),
        await operationsTable(context, 'SQLite: reads, 1,000 in flight', entered, inFlight(READS, context.quick), true),
        ...(await writes(context, 'durable', entered)),
      ]
    })),
    ...(await withPeers(context, 'normal', (entered) => writes(context, 'not durable', entered))),
  ],
}

async function writes(context: Context, how: string, entered: readonly Entered[]): Promise<ComparisonTable[]> {
  return [
    await operationsTable(context, `SQLite: writes, one at a time, ${how}`, entered, WRITES, false),
    await operationsTable(
      context,
      `SQLite: writes, 1,000 in flight, ${how}`,
      entered,
      inFlight(WRITES, context.quick),
      true,
      [
        'better-sqlite3, Drizzle on it and Python have no promises to be in flight with: they commit one after the other.',
      ],
    ),
  ]
}

async function withPeers(
  context: Context,
  durability: Durability,
  work: (entered: readonly Entered[]) => Promise<ComparisonTable[]>,
): Promise<ComparisonTable[]> {
  const entered = await enterAll(SQLITE_PEERS, async (entry) => {
    context.progress(`opening ${entry.name}`)
    const file = await filledFile(newFile(context, 'peer'))
    return enter(entry, file, durability)
  })
  try {
    await agree(entered.filter(isIn))
    return await work(entered)
  } finally {
    await closeAll(entered)
  }
}

/** A peer that returns less than the others is not faster. Times are each file's own. */
async function agree([first, ...others]: readonly Contestant[]): Promise<void> {
  if (first === undefined) return
  for (const [method, args] of [
    ['get', [nodeId(7)]],
    ['getMany', [[nodeId(7), nodeId(8)]]],
    ['list', [nodeId(7), 3]],
  ] as const) {
    const said = async (each: Contestant): Promise<unknown> =>
      JSON.parse(
        JSON.stringify(await each.answer(method, args)).replaceAll(/"(created|updated)At":[^,}]*/g, '"$1At":0'),
      )
    const expected = await said(first)
    for (const other of others) {
      const found = await said(other)
      if (!isDeepStrictEqual(found, expected)) {
        throw new Error(`${other.name} ${method}: ${JSON.stringify(found)} is not ${JSON.stringify(expected)}`)
      }
    }
  }
}
