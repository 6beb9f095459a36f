/** Export and import in this process, with all that they say. */
import type { ExportReport, ImportReport, Output } from '../../../src/transfer/index.ts'
import { exportTo, importInto, TABLE_NAMES } from '../../../src/transfer/index.ts'
import type { OnConflict } from '../../../src/transfer/staging.ts'
import { LATEST } from '../../support/tags.ts'

export const NOW = new Date('2026-03-04T05:06:07.891Z')
const now = (): Date => NOW

export interface Exported {
  readonly report: ExportReport
  readonly text: string
  /** The lines of the rows. */
  readonly rows: readonly string[]
  readonly invalid: readonly string[]
}

export interface ExportHow {
  readonly tables?: readonly (typeof TABLE_NAMES)[number][]
  readonly skipInvalid?: boolean
  /** Called before each piece is written. */
  readonly onWrite?: () => Promise<unknown>
}

export async function exported(url: string, how: ExportHow = {}): Promise<Exported> {
  const { tables = TABLE_NAMES, skipInvalid = false, onWrite = async () => {} } = how
  let text = ''
  const output: Output = {
    write: async (piece) => {
      await onWrite()
      text += piece
    },
    finish: async () => {},
    discard: async () => {},
  }
  const invalid: string[] = []
  const onInvalid = ({ table, key, column, message }: Parameters<Parameters<typeof exportTo>[2]['onInvalid']>[0]) =>
    void invalid.push(`${table} ${key} ${column} ${message}`)
  const report = await exportTo(url, output, { tables, skipInvalid, onInvalid })
  return { report, text, rows: text.split('\n').filter((line) => line.startsWith('{"table"')), invalid }
}

export interface ImportHow {
  readonly dryRun?: boolean
  readonly onConflict?: OnConflict
  readonly skipRefused?: boolean
  /** In pieces of so many bytes. */
  readonly pieces?: number
}

export interface Imported {
  readonly report: ImportReport
  /** `3 interfaces[0] must be a string`. */
  readonly refused: readonly string[]
}

export async function imported(url: string, file: string | Buffer, how: ImportHow = {}): Promise<Imported> {
  const { dryRun = false, onConflict = 'error', skipRefused = false, pieces = 65_536 } = how
  const bytes = Buffer.from(file)
  async function* read(): AsyncGenerator<Buffer> {
    for (let from = 0; from < bytes.length; from += pieces) yield bytes.subarray(from, from + pieces)
  }
  const refused: string[] = []
  const report = await importInto(url, read(), {
    dryRun,
    onConflict,
    skipRefused,
    busyTimeoutMs: 5_000,
    now,
    onRefused: ({ line, column, message }) => refused.push([line, column, message].filter((word) => word).join(' ')),
  })
  return { report, refused }
}

type Rows = Readonly<Record<string, unknown>>
/** A file as an export writes it, of these rows, in their order. */
export function fileOf(rows: readonly Rows[], { end = '\n' }: { end?: string } = {}): string {
  const counted = Object.fromEntries(
    TABLE_NAMES.map((table) => [table, rows.filter((row) => row.table === table).length]),
  )
  const header = { format: 'meshstore-ndjson', version: 1, schema: LATEST }
  const lines = [header, ...rows, { end: 'meshstore-ndjson', rows: counted }]
  return lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}${end}`).join('')
}

const times = { created_at: 1_700_000_000.123_456_7, updated_at: 1_700_000_001 }

export const nodeLine = (id: string, more: Rows = {}): Rows => ({
  table: 'nodes',
  node_id: id,
  interfaces: ['eth0'],
  protocols: [],
  started: true,
  routes_discovered: 3,
  ...times,
  ...more,
})

export const policyLine = (id: string, more: Rows = {}): Rows => ({
  table: 'policies',
  policy_id: id,
  yaml_content: 'rules: [{ id: a }]\n',
  rules_count: 1,
  ...times,
  ...more,
})

export const pathLine = (source: string, more: Rows = {}): Rows => ({
  table: 'path_cache',
  cache_key: `${source}:z:3`,
  source,
  destination: 'z',
  k: 3,
  bundle_json: `{ "source": "${source}", "destination": "z", "primary": [] }`,
  created_at: 1_700_000_000.25,
  expires_at: 1_700_000_030.25,
  ...more,
})
