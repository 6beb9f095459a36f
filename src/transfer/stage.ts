/** Finds out what a file is, and reads it. */
import type { Counts } from './counts.ts'
import { FORMAT } from './format.ts'
import { peeked } from './lines.ts'
import { stageNdjson } from './stage-ndjson.ts'
import { stageNetJson } from './stage-netjson.ts'
import type { OnConflict, Staging } from './staging.ts'

export type FileFormat = typeof FORMAT | 'netjson'

/** Longer than any header. */
const BEGINNING_BYTES = 65_536

/** Throws VALIDATION for what cannot be read at all. */
export async function stage(
  file: AsyncIterable<Buffer>,
  staging: Staging,
  counts: Counts,
  options: { onConflict: OnConflict; now: Date },
): Promise<FileFormat> {
  const { beginning, bytes } = await peeked(file, BEGINNING_BYTES)
  if (isNdjson(beginning)) {
    await stageNdjson(bytes, staging, counts, options.onConflict)
    return FORMAT
  }
  await stageNetJson(bytes, staging, counts, options)
  return 'netjson'
}

/** The first line by itself is a header, or a row, which is then refused for want of a header. */
function isNdjson(beginning: Buffer): boolean {
  // It may end in the middle of a character: this decoder takes that, and leaves out a mark at the beginning.
  const [line = ''] = new TextDecoder().decode(beginning).trimStart().split('\n', 1)
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && ('format' in value || 'table' in value)
  } catch {
    // A row may be longer than what was looked at.
    return /^\s*\{\s*"(format|table)"\s*:/.test(line)
  }
}
