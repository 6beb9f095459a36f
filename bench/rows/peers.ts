/** The contest of one-by-one operations, and of 1,000 in flight, on whatever database the contestants have opened. */
import type { ComparisonTable, TableRow } from '../comparison-table.ts'
import { contest, type Round } from '../contest.ts'
import type { Context } from '../context.ts'
import type { Operation } from '../operations.ts'
import type { Contestant } from '../peer.ts'

const IN_FLIGHT = 1_000
const CALLS = { read: 200, write: 20 }
const ROUNDS = { quick: 3, full: 20 }
const ROUNDS_IN_FLIGHT = { quick: 1, full: 5 }
const MICROSECONDS = 1_000

/** A peer, or why it is not measured. */
export type Entered = Contestant | { readonly name: string; readonly why: string }

export const isIn = (entered: Entered): entered is Contestant => 'time' in entered

/** Opens one after the other. A peer that cannot be opened is named with the reason. */
export async function enterAll<T extends { readonly name: string }>(
  entries: readonly T[],
  enter: (entry: T) => Promise<Contestant>,
): Promise<Entered[]> {
  const all: Entered[] = []
  for (const entry of entries) {
    try {
      all.push(await enter(entry))
    } catch (error) {
      all.push({ name: entry.name, why: reasonOf(error) })
    }
  }
  return all
}

/** The reason in one line, without the places where a package was looked for. */
function reasonOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n')
  const said = lines.find((line) => /^\w*Error\b/.test(line)) ?? lines[0] ?? ''
  return said.replace(/ imported from .*/, '')
}

export const whyNot = (entered: readonly Entered[]): string[] =>
  entered.flatMap((each) => (isIn(each) ? [] : [`${each.name} NOT MEASURED: ${each.why}`]))

/** Versions that the header does not have. */
const versions = (entered: readonly Entered[]): string[] =>
  entered.flatMap((each) => (isIn(each) && each.version !== undefined ? [`${each.name}: ${each.version}.`] : []))

export async function closeAll(entered: readonly Entered[]): Promise<void> {
  for (const each of entered) if (isIn(each)) await each.close()
}

/** One caller that awaits each call, or 1,000 callers at once: the time for each operation. */
export async function operationsTable(
  context: Context,
  title: string,
  entered: readonly Entered[],
  operations: readonly Operation[],
  inFlight: boolean,
  notes: readonly string[] = [],
): Promise<ComparisonTable> {
  const rows: TableRow[] = []
  for (const operation of operations) {
    context.progress(`${title}: ${operation.name}`)
    rows.push(await measured(context, entered, operation, inFlight))
  }
  return {
    title,
    columns: entered.map(({ name }) => name),
    rows,
    notes: [...whyNot(entered), ...versions(entered), ...notes],
    peers: true,
  }
}

async function measured(
  { quick }: Context,
  entered: readonly Entered[],
  { name, method, args, writes, rows }: Operation,
  inFlight: boolean,
): Promise<TableRow> {
  const count = inFlight ? IN_FLIGHT : writes ? CALLS.write : Math.ceil(CALLS.read / Math.sqrt(rows))
  const callsOf = (round: number) => Array.from({ length: count }, (_, n) => args(round * count + n))
  const rounds = entered.map((each): Round | undefined => {
    if (!isIn(each)) return undefined
    return async (round) => {
      const { mean, median } = await each.time(method, callsOf(round), inFlight)
      return (writes && !inFlight ? median : mean) * MICROSECONDS
    }
  })
  const of = inFlight ? ROUNDS_IN_FLIGHT : ROUNDS
  const warmUp = inFlight && quick ? 0 : 1
  return { name, unit: 'µs', cells: await contest(rounds, { warmUp, count: quick ? of.quick : of.full }) }
}
