/**
 * An object with rows, in a place: a header line, zstd of NDJSON, and the SHA-256 of everything before it.
 * A line is a row, `["nodes", …cells]`, or a deletion, `{"delete":["nodes", key]}`. The last line is `{"end": number of lines}`.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { StringDecoder } from 'node:string_decoder'
// A namespace import: Node 22.14 has no zstd, and must still load the rest of the library.
import * as zlib from 'node:zlib'
import { StorageError } from '../errors.ts'
import { EventLoopYield } from '../event-loop.ts'
import type { Plain } from '../schema/cells.ts'
import { assertVersion, damaged, parsed } from './place.ts'
import type { Columns, Described } from './tables.ts'

export const VERSION = 1
const HASH_BYTES = 32
/** The fastest level: it halves the size of level-1 JSON and costs little CPU. */
const LEVEL = 1
/** Characters that are compressed by one call. */
const PIECE = 262_144
/** Lines that a reader gets at once, and their characters. */
const SLICE_LINES = 1_000
const SLICE_CHARACTERS = 1_048_576

export interface Header extends Pick<Described, 'own'> {
  readonly format: 'meshstore-segment' | 'meshstore-base'
  readonly version: number
  readonly generation: number
  readonly segment: number
  /** The moment of the state, by the clock of the machine that read it. */
  readonly at: string
  /** The source's last migration. */
  readonly schema: string
  readonly tables: Columns
}

/** From one committed state to a later one. */
export interface SegmentHeader extends Header {
  readonly format: 'meshstore-segment'
  /** Hash of the segment before, or of the generation's `begin`. */
  readonly prev: string
  /** Positions in the change log. */
  readonly log: string
  readonly from: string
  readonly to: string
}

/** A part of a base: all rows as of its segment. */
export interface PartHeader extends Header {
  readonly format: 'meshstore-base'
  readonly part: number
}

export type Line =
  | { readonly table: string; readonly cells: readonly Plain[] }
  | { readonly table: string; readonly deleted: string }

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function assertZstd(): void {
  if (typeof zlib.createZstdCompress !== 'function')
    throw new StorageError('CONFIG', 'Replication compresses with zstd: use Node.js 22.15, 23.8 or newer.')
}

export interface Written {
  readonly bytes: Buffer
  readonly hash: string
}

/** Holds the compressed object in memory, and a small part of what is not compressed yet. */
export class ObjectWriter {
  readonly #packed: Buffer[] = []
  readonly #zstd: zlib.ZstdCompress
  #piece = ''
  #lines = 0
  /** Compressed bytes so far. */
  bytes = 0

  constructor() {
    assertZstd()
    this.#zstd = zlib.createZstdCompress({ params: { [zlib.constants.ZSTD_c_compressionLevel]: LEVEL } })
    this.#zstd.on('data', (bytes: Buffer) => {
      this.#packed.push(bytes)
      this.bytes += bytes.length
    })
  }

  get lines(): number {
    return this.#lines
  }

  row(table: string, cells: readonly Plain[]): Promise<void> | undefined {
    return this.#line(JSON.stringify([table, ...cells]))
  }

  deleted(table: string, key: string): Promise<void> | undefined {
    return this.#line(JSON.stringify({ delete: [table, key] }))
  }

  /** Returns a promise when a piece is full: wait for it. */
  #line(text: string): Promise<void> | undefined {
    this.#lines++
    this.#piece += `${text}\n`
    return this.#piece.length < PIECE ? undefined : this.#compress()
  }

  async #compress(): Promise<void> {
    const piece = Buffer.from(this.#piece)
    this.#piece = ''
    await new Promise<void>((resolve, reject) => {
      this.#zstd.write(piece, (error) => (error ? reject(error) : resolve()))
    })
  }

  /** The header comes last: it names the position that was reached. */
  async end(header: Header): Promise<Written> {
    this.#piece += `{"end":${this.#lines}}\n`
    await this.#compress()
    const ended = once(this.#zstd, 'end')
    this.#zstd.end()
    await ended
    const content = Buffer.concat([Buffer.from(`${JSON.stringify(header)}\n`), ...this.#packed])
    const hash = await digest(content)
    return { bytes: Buffer.concat([content, hash]), hash: hash.toString('hex') }
  }
}

export interface Opened<H extends Header> {
  readonly header: H
  readonly hash: string
  readonly body: Buffer
}

/** Verifies an object's hash and header. Throws BACKUP_INVALID, and SCHEMA_NEWER for one of a newer version. */
export async function opened<H extends Header>(bytes: Buffer, name: string, format: H['format']): Promise<Opened<H>> {
  const end = bytes.indexOf(0x0a)
  if (end < 0 || bytes.length < end + HASH_BYTES) throw damaged(name)
  const trailer = bytes.subarray(-HASH_BYTES)
  if (!(await digest(bytes.subarray(0, -HASH_BYTES))).equals(trailer)) throw damaged(name)
  const header = parsed(bytes.subarray(0, end), name)
  if (header.format !== format) throw damaged(name)
  assertVersion(header.version, VERSION, name)
  const body = bytes.subarray(end + 1, -HASH_BYTES)
  return { header: header as unknown as H, hash: trailer.toString('hex'), body }
}

async function digest(bytes: Buffer): Promise<Buffer> {
  const hash = createHash('sha256')
  const yielding = new EventLoopYield()
  for (let at = 0; at < bytes.length; at += SLICE_CHARACTERS) {
    hash.update(bytes.subarray(at, at + SLICE_CHARACTERS))
    if (yielding.isDue()) await yielding.now()
  }
  return hash.digest()
}

/** The lines of an object that was opened, in slices. Throws BACKUP_INVALID. */
export async function* linesOf(body: Buffer, name: string): AsyncGenerator<readonly Line[]> {
  assertZstd()
  let count = 0
  let end: unknown
  let slice: Line[] = []
  let size = 0
  const yielding = new EventLoopYield()
  for await (const text of textsOf(body, name)) {
    if (end !== undefined) throw damaged(name)
    const value = valueIn(text, name)
    if (isEnd(value)) end = value.end
    else {
      slice.push(lineOf(value, name))
      count++
      size += text.length
    }
    if (slice.length < SLICE_LINES && size < SLICE_CHARACTERS) continue
    yield slice
    slice = []
    size = 0
    if (yielding.isDue()) await yielding.now()
  }
  if (end !== count) throw damaged(name)
  if (slice.length > 0) yield slice
}

async function* textsOf(body: Buffer, name: string): AsyncGenerator<string> {
  const zstd = zlib.createZstdDecompress()
  zstd.end(body)
  const decoder = new StringDecoder('utf8')
  let rest = ''
  try {
    for await (const chunk of zstd) {
      const texts = (rest + decoder.write(chunk as Buffer)).split('\n')
      rest = texts.pop() ?? ''
      yield* texts
    }
  } catch (error) {
    throw damaged(name, error)
  }
  if (rest !== '') throw damaged(name)
}

function valueIn(text: string, name: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw damaged(name)
  }
}

const isEnd = (value: unknown): value is { end: number } =>
  typeof value === 'object' && value !== null && 'end' in value

function lineOf(value: unknown, name: string): Line {
  if (Array.isArray(value)) {
    const [table, ...cells] = value
    if (typeof table === 'string') return { table, cells: cells as Plain[] }
  } else if (typeof value === 'object' && value !== null && 'delete' in value && Array.isArray(value.delete)) {
    const [table, deleted] = value.delete as unknown[]
    if (typeof table === 'string' && typeof deleted === 'string') return { table, deleted }
  }
  throw damaged(name)
}
