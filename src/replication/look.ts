/** Looks at a place: its generations, bases and segments. */
import { type BaseManifest, readManifest } from './base.ts'
import { type At, beginOf, followed, generationsOf } from './generation.ts'
import { generationName, isManifest, isSegment, segmentName, segmentOf } from './names.ts'
import { type Opened, opened, type SegmentHeader } from './object.ts'
import type { Place } from './place.ts'

/** The header of the place's last segment. */
export async function lastHeaderOf(place: Place): Promise<SegmentHeader | undefined> {
  const generation = (await generationsOf(place)).at(-1)
  if (generation === undefined) return undefined
  const name = (await place.list(generationName(generation))).findLast(isSegment)
  if (name === undefined) return undefined
  return (await readSegment(place, generation, segmentOf(name)))?.header
}

/** `undefined`: there is none. Throws BACKUP_INVALID. */
export async function readSegment(
  place: Place,
  generation: number,
  segment: number,
): Promise<Opened<SegmentHeader> | undefined> {
  const name = segmentName(generation, segment)
  const bytes = await place.get(name)
  if (bytes === undefined) return undefined
  return opened<SegmentHeader>(bytes, name, 'meshstore-segment')
}

export interface Generation {
  readonly generation: number
  readonly lineage: string | undefined
  /** Ascending. */
  readonly segments: readonly number[]
  readonly bases: readonly BaseManifest[]
  /** Names of manifests that cannot be trusted. */
  readonly damaged: readonly string[]
  /** The last segment that counts, if a later generation follows. */
  readonly end: At | undefined
}

/** Everything but the segments' contents, ascending. */
export async function generationsIn(place: Place): Promise<readonly Generation[]> {
  const numbers = await generationsOf(place)
  const found: Generation[] = []
  for (const [index, generation] of numbers.entries()) {
    const next = numbers[index + 1]
    const end = next === undefined ? undefined : await followed(place, next)
    const counts = (segment: number): boolean => end?.generation !== generation || segment <= end.segment
    const names = (await place.list(generationName(generation))).filter((name) => counts(segmentOf(name)))
    const bases: BaseManifest[] = []
    const damaged: string[] = []
    for (const name of names.filter(isManifest)) {
      const manifest = await readManifest(place, name).catch(() => undefined)
      if (manifest === undefined) damaged.push(name)
      else bases.push(manifest)
    }
    const begun = await beginOf(place, generation).catch(() => undefined)
    const segments = names.filter(isSegment).map(segmentOf)
    found.push({ generation, lineage: begun?.lineage, segments, bases, damaged, end })
  }
  return found
}
