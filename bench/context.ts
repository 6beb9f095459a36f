import { join } from 'node:path'
import type { Meshstore } from '../src/index.ts'
import type { ComparisonTable } from './comparison-table.ts'
import { filledFile } from './data.ts'
import { openStorage } from './library.ts'
import { type Durability, RawStore } from './raw-store.ts'
import type { Result } from './result.ts'

/** The places to measure, and how thoroughly. */
export interface Context {
  /** Every file is in here: both sides on one file system. */
  readonly folder: string
  /** Fewer rounds, smaller files. */
  readonly quick: boolean
  /** Larger files, for as long as it takes. */
  readonly long: boolean
  readonly progress: (text: string) => void
}

export type Outcome = Result | ComparisonTable

export interface Benchmark {
  /** The name that `--only` takes. */
  readonly name: string
  readonly run: (context: Context) => Promise<Outcome[]>
}

let files = 0
export const newFile = ({ folder }: Context, name: string): string => join(folder, `${name}-${++files}.db`)

/** Two files with equal content and the library's triggers, one for each side; both are closed and gone afterwards with the folder. */
export async function withBothSides<T>(
  context: Context,
  durability: Durability,
  work: (store: Meshstore, raw: RawStore) => Promise<T>,
): Promise<T> {
  const [ours, theirs] = [await filledFile(newFile(context, 'ours')), await filledFile(newFile(context, 'raw'))]
  const raw = new RawStore(theirs, durability)
  try {
    await using store = await openStorage({ url: ours, durability })
    await store.pathCache.sweep()
    return await work(store, raw)
  } finally {
    raw.close()
  }
}
