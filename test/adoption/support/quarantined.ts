/** Reads a quarantine file, and puts its rows back. */
import { readFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { type Stored, storedIn, TABLES } from './cells.ts'
import type { Content } from './client.ts'
import { DDL } from './ddl.ts'

type Value = null | string | number | { integer: string } | { real: string } | { text: string } | { blob: string }

export interface QuarantinedRow {
  readonly table: string
  readonly rowid: number | { integer: string }
  readonly problems: readonly { column: string; message: string }[]
  readonly values: Readonly<Record<string, Value>>
}

export function quarantinedIn(file: string): QuarantinedRow[] {
  const lines = readFileSync(file, 'utf8').split('\n')
  if (lines.pop() !== '') throw new Error('The last line has no end.')
  return lines.map((line) => JSON.parse(line))
}

/** The rows of the file, once they are put back into tables like the client's. */
export function restored(file: string, ddl = DDL): Content {
  const raw = new Sqlite(':memory:')
  try {
    raw.exec(ddl)
    for (const { table, rowid, values } of quarantinedIn(file)) {
      const cells = [rowid, ...Object.values(values)].map(boundTo)
      const places = cells.map(([place]) => place).join()
      raw
        .prepare(`INSERT INTO ${table} (rowid, ${Object.keys(values).join()}) VALUES (${places})`)
        .run(cells.map(([, value]) => value))
    }
    return Object.fromEntries(TABLES.map((table): [string, Stored[]] => [table, storedIn(raw, table)])) as Content
  } finally {
    raw.close()
  }
}

/** The column's affinity makes an integer of a number again. */
function boundTo(value: Value): [place: string, value: null | string | number | bigint | Buffer] {
  if (value === null || typeof value !== 'object') return ['?', value]
  if ('integer' in value) return ['?', BigInt(value.integer)]
  if ('real' in value) return ['?', Number(value.real)]
  if ('text' in value) return ['CAST(? AS TEXT)', Buffer.from(value.text, 'base64')]
  return ['?', Buffer.from(value.blob, 'base64')]
}
