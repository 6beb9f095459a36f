/** Chooses the base of a moment, and says which moments there are. */
import { StorageError } from '../errors.ts'
import type { BaseManifest } from './base.ts'
import { type Generation, readSegment } from './look.ts'
import { generationOf, segmentName } from './names.ts'
import type { Place } from './place.ts'
import type { Reached } from './replay.ts'

/** A time, or a segment of a generation. */
export type Moment = Date | { readonly generation: number; readonly segment: number }

/** Parses `2026-11-28T13:36:48Z` or `g000001/42`. Throws CONFIG. */
export function momentOf(text: string): Moment {
  const [, folder = '', segment] = /^(g\d{6})\/(\d{1,10})$/.exec(text) ?? []
  const generation = generationOf(folder)
  if (generation !== undefined) return { generation, segment: Number(segment) }
  const time = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/.test(text)
    ? new Date(text)
    : undefined
  if (time !== undefined && !Number.isNaN(time.getTime())) return time
  throw new StorageError(
    'CONFIG',
    `${JSON.stringify(text)} is no moment. Give a time with its zone, such as 2026-11-28T13:36:48Z, or a segment, such as g000001/42.`,
  )
}

export const isUpTo =
  (moment: Moment | undefined) =>
  ({ generation, segment, at }: Pick<Reached, 'generation' | 'segment' | 'at'>): boolean => {
    if (moment === undefined) return true
    if (moment instanceof Date) return new Date(at) <= moment
    return generation === moment.generation && segment <= moment.segment
  }

export interface Chosen {
  readonly generation: Generation
  readonly base: BaseManifest
}

/** The last base in the order of the chain that is not after the moment. Throws CONFIG if there is none. */
export function baseOf(generations: readonly Generation[], moment: Moment | undefined): Chosen {
  if (moment !== undefined && !(moment instanceof Date)) assertThere(generations, moment)
  for (const generation of generations.toReversed()) {
    const base = generation.bases.findLast(isUpTo(moment))
    if (base !== undefined) return { generation, base }
  }
  const [first] = generations.flatMap(({ bases }) => bases)
  throw new StorageError(
    'CONFIG',
    first === undefined
      ? 'There is nothing to restore: the place has no base yet. Wait for the first one.'
      : `There is nothing to restore from before ${first.at}. Choose a later moment.`,
  )
}

/** Refuses a segment that was never shipped. A restore would end at an earlier one, and could be taken for that moment. */
function assertThere(generations: readonly Generation[], moment: Exclude<Moment, Date>): void {
  const found = generations.find(({ generation }) => generation === moment.generation)
  const last = Math.max(0, ...(found?.segments ?? []), ...(found?.bases ?? []).map(({ segment }) => segment))
  if (found !== undefined && moment.segment >= 1 && moment.segment <= last) return
  const name = segmentName(moment.generation, moment.segment)
  const there =
    found === undefined
      ? `there is no generation ${moment.generation}`
      : `generation ${moment.generation} ends with segment ${last}`
  throw new StorageError(
    'CONFIG',
    `There is no ${name}: ${there}. Nothing was restored. Choose a moment that --list names.`,
  )
}

/** Segments that are read at once. */
const AHEAD = 8

/**
 * The last segment in the order of the chain that is not after the time: a clock that was set back gives a time twice. Damaged segments
 * are passed over: the replay names them.
 */
export async function lastUpTo(place: Place, { generation, base }: Chosen, time: Date): Promise<number> {
  const later = generation.segments.filter((segment) => segment > base.segment).reverse()
  for (let at = 0; at < later.length; at += AHEAD) {
    const slice = later.slice(at, at + AHEAD)
    const read = (segment: number) => readSegment(place, generation.generation, segment).catch(() => undefined)
    const found = (await Promise.all(slice.map(read))).find(
      (segment) => segment !== undefined && new Date(segment.header.at) <= time,
    )
    if (found !== undefined) return found.header.segment
  }
  return base.segment
}

/** Moments that can be restored without a gap: from a base to the last segment that follows it. */
export interface Span {
  readonly generation: number
  readonly from: { readonly segment: number; readonly at: string }
  readonly to: { readonly segment: number; readonly at: string }
  /** Later segments of the generation that nothing leads to: a segment is missing, or they were pruned. */
  readonly missing?: { readonly first: number; readonly last: number }
}

/** Ascending. Reads the headers at the ends of the spans alone. `onDamaged` gets why a segment at an end cannot be used. */
export async function spansOf(
  place: Place,
  generations: readonly Generation[],
  onDamaged: (problem: string) => void = () => {},
): Promise<readonly Span[]> {
  const spans: Span[] = []
  for (const generation of generations) {
    const { bases, segments } = generation
    const present = new Set(segments)
    let covered = 0
    for (const base of bases) {
      if (base.segment <= covered) continue
      let last = base.segment
      while (present.has(last + 1)) last++
      covered = last
      const next = segments.find((segment) => segment > last)
      spans.push({
        generation: generation.generation,
        from: { segment: base.segment, at: base.at },
        to: await lastSound(place, base, { last, onDamaged }),
        ...(next !== undefined && { missing: { first: last + 1, last: next - 1 } }),
      })
    }
  }
  return spans
}

/** The last segment after the base whose object is whole. */
async function lastSound(
  place: Place,
  { generation, segment: first, at }: BaseManifest,
  { last, onDamaged }: { readonly last: number; readonly onDamaged: (problem: string) => void },
): Promise<Span['to']> {
  for (let segment = last; segment > first; segment--) {
    try {
      const found = await readSegment(place, generation, segment)
      if (found !== undefined) return { segment, at: found.header.at }
    } catch (error) {
      if (!(error instanceof StorageError) || !['BACKUP_INVALID', 'SCHEMA_NEWER'].includes(error.code)) throw error
      onDamaged(error.message)
    }
  }
  return { segment: first, at }
}
