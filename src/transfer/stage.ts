/** Detects a file's format, and stages its rows. */
import type { Table } from '../schema/tables.ts'
import type { Counts } from './counts.ts'
import { FORMAT } from './format.ts'
import { peeked } from './lines.ts'
import { stageNdjson } from './stage-ndjson.ts'
import { stageNetJson } from './stage-netjson.ts'
import type { OnConflict, Staging } from './staging.ts'

export type FileFormat = typeof FORMAT | 'netjson'

/** Bytes to detect the format by: more than any header has. */
const BEGINNING_BYTES = 65_536

export interface StageOptions {
  readonly onConflict: OnConflict
  readonly now: Date
  readonly tables: readonly Table[]
}

/** Throws VALIDATION for a file of neither format. */
export async function stage(
  file: AsyncIterable<Buffer>,
  staging: Staging,
  counts: Counts,
  options: StageOptions,
): Promise<FileFormat> {
  const { beginning, bytes } = await peeked(file, BEGINNING_BYTES)
  if (isNdjson(beginning)) {
    await stageNdjson(bytes, staging, counts, options)
    return FORMAT
  }
  await stageNetJson(bytes, staging, counts, options)
  return 'netjson'
}

/** Whether the first line is a header, or a row. A file that begins with a row lacks its header, and is refused later. */
function isNdjson(beginning: Buffer): boolean {
  // The bytes may end inside a character, which this decoder accepts. It drops a byte-order mark.
  const [line = ''] = new TextDecoder().decode(beginning).trimStart().split('\n', 1)
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && ('format' in value || 'table' in value)
  } catch {
    // A row may be longer than the bytes that were read.
    return /^\s*\{\s*"(format|table)"\s*:/.test(line)
  }
}
