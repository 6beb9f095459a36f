/** Copies a table's rows from a snapshot into a target, and verifies the copy. */
import type { TableContent } from '../api.ts'
import { StorageError } from '../errors.ts'
import { EventLoopYield } from '../event-loop.ts'
import { plainCells } from '../schema/cells.ts'
import type { Table } from '../schema/tables.ts'
import { ContentHash } from './content-hash.ts'
import type { Snapshot } from './source.ts'
import type { Target } from './target.ts'

export interface Sent extends Omit<TableContent, 'sha256'> {
  /** `undefined` for a dry run. */
  readonly sha256: string | undefined
}

interface Sending {
  readonly isLeftOut: (cells: readonly unknown[]) => boolean
  readonly progress: (rows: number) => void
  readonly signal: AbortSignal | undefined
}

/** Copies in constant memory. Returns the content hash of the rows that the source gave. */
export async function sendRows(
  snapshot: Snapshot,
  target: Target,
  table: Table,
  { isLeftOut, progress, signal }: Sending,
): Promise<TableContent> {
  const content = new ContentHash(table)
  const yielding = new EventLoopYield()
  for await (const slice of snapshot.slices(table)) {
    signal?.throwIfAborted()
    const rows = slice.filter((cells) => !isLeftOut(cells)).map((cells) => plainCells(table, cells))
    for (const row of rows) content.addPlain(row)
    await target.write(table, rows)
    progress(slice.length)
    if (yielding.isDue()) await yielding.now()
  }
  await target.written()
  return content.end()
}

/** The content hash of a table, the same on each dialect. `look` sees each slice first. */
export async function contentIn(
  snapshot: Snapshot,
  table: Table,
  look: (slice: readonly (readonly unknown[])[]) => void,
): Promise<TableContent> {
  const content = new ContentHash(table)
  const yielding = new EventLoopYield()
  for await (const slice of snapshot.slices(table)) {
    look(slice)
    for (const cells of slice) content.addPlain(plainCells(table, cells))
    if (yielding.isDue()) await yielding.now()
  }
  return content.end()
}

/** Reads all written rows back. Throws CONFLICT if their content hash differs from that of the sent rows. */
export async function assertSame(
  { snapshot }: Target,
  sent: ReadonlyMap<Table, Sent>,
  progress: (rows: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const [table, { rows, sha256 }] of sent) {
    const found = await contentIn(snapshot, table, (slice) => {
      signal?.throwIfAborted()
      progress(slice.length)
    })
    if (found.rows === rows && found.sha256 === sha256) continue
    throw new StorageError(
      'CONFLICT',
      `The rows that arrived in ${table.name} of the target are not those that were sent. Nothing was copied. Drop triggers that change rows there, and check disks and memory.`,
    )
  }
}
