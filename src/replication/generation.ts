/** Generations: unbroken chains of segments. Beginning a generation fences the earlier ones, without a lease or a clock. */
import { beginName, followsName, generationName, generationOf, isSegment, segmentName, segmentOf } from './names.ts'
import { hashOf, opened, type SegmentHeader } from './object.ts'
import { damaged, type Place, parsed } from './place.ts'

const FORMAT = 'meshstore-generation'

/** A position in a chain. */
export interface At {
  readonly generation: number
  readonly segment: number
  /** Hash of the segment, or of `begin` for segment 0. */
  readonly hash: string
}

export interface Begin {
  readonly generation: number
  /** The database, and its copies: a standby that is promoted gets another one. */
  readonly lineage: string
  readonly hash: string
}

/** Ascending. */
export async function generationsOf(place: Place): Promise<number[]> {
  return (await place.folders()).flatMap((folder) => generationOf(folder) ?? [])
}

export async function beginOf(place: Place, generation: number): Promise<Begin | undefined> {
  const name = beginName(generation)
  const bytes = await place.get(name)
  if (bytes === undefined) return undefined
  const { format, lineage } = parsed(bytes, name)
  if (format !== FORMAT || typeof lineage !== 'string') throw damaged(name)
  return { generation, lineage, hash: hashOf(bytes) }
}

/** `undefined` if another process has begun this generation. */
export async function begin(place: Place, generation: number, lineage: string, now: Date): Promise<Begin | undefined> {
  const text = JSON.stringify({ format: FORMAT, version: 1, generation, lineage, at: now.toISOString() })
  const bytes = Buffer.from(`${text}\n`)
  if (await place.create(beginName(generation), bytes)) return { generation, lineage, hash: hashOf(bytes) }
  const found = await beginOf(place, generation)
  // The answer to an earlier attempt was lost.
  return found?.hash === hashOf(bytes) ? found : undefined
}

/** Notes which segment of the earlier generation is the last that counts. Later ones come from a fenced database. */
export async function seal(place: Place, generation: number, last: At): Promise<void> {
  await place.create(followsName(generation), Buffer.from(`${JSON.stringify(last)}\n`))
}

/** The last segment that counts of the generation before; `undefined` if that is not noted. */
export async function followed(place: Place, generation: number): Promise<At | undefined> {
  const bytes = await place.get(followsName(generation))
  if (bytes === undefined) return undefined
  const name = followsName(generation)
  const { generation: of, segment, hash } = parsed(bytes, name)
  if (typeof of !== 'number' || typeof segment !== 'number' || typeof hash !== 'string') throw damaged(name)
  return { generation: of, segment, hash }
}

/** The last segment of a generation; `undefined` if it has none. */
export async function lastOf(place: Place, generation: number, after = 0): Promise<At | undefined> {
  const names = await place.list(generationName(generation), after === 0 ? '' : segmentName(generation, after - 1))
  const name = names.findLast(isSegment)
  const bytes = name === undefined ? undefined : await place.get(name)
  if (name === undefined || bytes === undefined) return undefined
  const { hash } = await opened<SegmentHeader>(bytes, name, 'meshstore-segment')
  return { generation, segment: segmentOf(name), hash }
}
