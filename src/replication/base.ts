/** A base: all rows as of a segment, in parts. Its manifest comes last. */
import type { TableContent } from '../api.ts'
import { ContentHash } from '../rows/content-hash.ts'
import type { Table } from '../schema/tables.ts'
import { sharedCells } from './cut.ts'
import { manifestName, partName } from './names.ts'
import { type Header, hashOf, ObjectWriter, type PartHeader, VERSION } from './object.ts'
import { assertVersion, damaged, type Place, parsed } from './place.ts'
import type { CommittedState } from './source.ts'
import type { Described } from './tables.ts'

/** Compressed bytes of a part. A part is held in memory. */
const PART_BYTES = 8_388_608

export interface BaseManifest extends Described {
  readonly generation: number
  readonly segment: number
  /** Hash of the segment that the base is as of. */
  readonly hash: string
  readonly at: string
  readonly schema: string
  readonly parts: readonly string[]
  readonly bytes: number
  /** By the table's name. */
  readonly tables: Readonly<Record<string, TableContent>>
}

interface Writing {
  readonly tables: readonly Table[]
  readonly header: Header
  readonly hash: string
  readonly signal: AbortSignal
}

/** Writes the base of a state that is pinned meanwhile. `store` creates an object. */
export async function writeBase(
  state: CommittedState,
  { tables, header, hash, signal }: Writing,
  store: (name: string, bytes: Uint8Array) => Promise<void>,
): Promise<BaseManifest> {
  const { generation, segment, at, schema, own } = header
  const parts: string[] = []
  const content: Record<string, TableContent> = {}
  let bytes = 0
  let writer = new ObjectWriter()
  const finish = async (): Promise<void> => {
    const part: PartHeader = { ...header, format: 'meshstore-base', version: VERSION, part: parts.length }
    const written = await writer.end(part)
    await store(partName(generation, segment, parts.length), written.bytes)
    parts.push(written.hash)
    bytes += written.bytes.length
  }
  for (const table of tables) {
    const rows = new ContentHash(table)
    for await (const slice of state.slices(table)) {
      signal.throwIfAborted()
      for (const row of slice) {
        const cells = sharedCells(table, row)
        rows.addPlain(cells)
        await writer.row(table.name, cells)
      }
      if (writer.bytes < PART_BYTES) continue
      await finish()
      writer = new ObjectWriter()
    }
    content[table.name] = rows.end()
  }
  await finish()
  const appMigrations = await state.appMigrations()
  const manifest = { generation, segment, hash, at, schema, parts, bytes, tables: content, own, appMigrations }
  await store(manifestName(generation, segment), textOf(manifest))
  return manifest
}

const FORMAT = 'meshstore-base'

function textOf(manifest: BaseManifest): Buffer {
  const body = JSON.stringify({ format: FORMAT, version: VERSION, ...manifest })
  return Buffer.from(`${JSON.stringify({ body, sha256: hashOf(Buffer.from(body)) })}\n`)
}

/** `undefined`: there is none. Throws BACKUP_INVALID. */
export async function readManifest(place: Place, name: string): Promise<BaseManifest | undefined> {
  const bytes = await place.get(name)
  if (bytes === undefined) return undefined
  const { body, sha256 } = parsed(bytes, name)
  if (typeof body !== 'string' || hashOf(Buffer.from(body)) !== sha256) throw damaged(name)
  const manifest = parsed(Buffer.from(body), name)
  if (manifest.format !== FORMAT) throw damaged(name)
  assertVersion(manifest.version, VERSION, name)
  return manifest as unknown as BaseManifest
}
