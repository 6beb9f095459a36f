/** A table's rows out of a snapshot into a target, and whether they have arrived. */
import type { TableContent } from '../api.ts'
import { StorageError } from '../errors.ts'
import { Turns } from '../event-loop.ts'
import type { Target } from '../move/target.ts'
import { type Plain, PlainHash, plainCells } from './cells.ts'
import type { Snapshot } from './source.ts'
import type { TableName } from './tables.ts'

export interface Sent extends Omit<TableContent, 'sha256'> {
  /** `undefined` where nothing was sent, and it was only found out what would be. */
  readonly sha256: string | undefined
}

interface Sending {
  readonly isLeftOut: (cells: readonly unknown[]) => boolean
  readonly progress: (rows: number) => void
  readonly signal: AbortSignal | undefined
}

/** In constant memory. Says what was sent, by the rows as they came out of the source. */
export async function sendRows(
  snapshot: Snapshot,
  target: Target,
  table: TableName,
  { isLeftOut, progress, signal }: Sending,
): Promise<TableContent> {
  const content = new PlainHash(table)
  const turns = new Turns()
  for await (const slice of snapshot.slices(table)) {
    signal?.throwIfAborted()
    const rows: Plain[][] = []
    for (const cells of slice) {
      if (isLeftOut(cells)) continue
      const row = plainCells(table, cells)
      content.add(row)
      rows.push(row)
    }
    await target.write(table, rows)
    progress(slice.length)
    if (turns.due()) await turns.next()
  }
  await target.written()
  return content.end()
}

/** Reads what has been written, all of it. Throws CONFLICT if it is not what was sent. */
export async function assertSame(
  { snapshot }: Target,
  sent: ReadonlyMap<TableName, Sent>,
  progress: (rows: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const [table, { rows, sha256 }] of sent) {
    const content = new PlainHash(table)
    for await (const slice of snapshot.slices(table)) {
      signal?.throwIfAborted()
      for (const cells of slice) content.add(plainCells(table, cells))
      progress(slice.length)
    }
    const found = content.end()
    if (found.rows === rows && found.sha256 === sha256) continue
    throw new StorageError(
      'CONFLICT',
      `What arrived in ${table} of the target is not what was sent: a trigger there changes rows, or a disk or the memory is at fault. Nothing was copied.`,
    )
  }
}
