/** Code that peers share whose users must write it themselves. */
import type { NewMeshNode } from '../../src/index.ts'

/** Rows for each statement of a bulk load: 7,000 values, where SQLite takes 32,766. */
export const CHUNK = 1_000
/** Rows for each page of an iteration, where there is no cursor. */
export const PAGE = 1_000

export function* chunks<T>(rows: readonly T[]): Iterable<T[]> {
  for (let first = 0; first < rows.length; first += CHUNK) yield rows.slice(first, first + CHUNK)
}

/** All of the table by pages, each after the last row of the one before. */
export async function* byPages<T extends { readonly nodeId: string }>(
  page: (after: string, limit: number) => readonly T[] | Promise<readonly T[]>,
): AsyncIterable<T> {
  let after = ''
  for (;;) {
    const rows = await page(after, PAGE)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < PAGE) return
    after = last.nodeId
  }
}

/** A complete row, created now. */
export function complete({ nodeId, interfaces, protocols, started = false, routesDiscovered = 0 }: NewMeshNode) {
  const now = new Date()
  return {
    nodeId,
    interfaces: [...interfaces],
    protocols: [...protocols],
    started,
    routesDiscovered,
    createdAt: now,
    updatedAt: now,
  }
}

export const secondsOf = (time: Date): number => time.getTime() / 1000
export const timeOf = (seconds: number): Date => new Date(Math.round(seconds * 1000))
