/** Deletes what no kept moment needs. */
import type { Retention } from '../api.ts'
import { retained } from '../backup/retention.ts'
import { Ages, LONGEST_STEP_MS } from './age.ts'
import { type BaseManifest, readManifest } from './base.ts'
import { generationsOf } from './generation.ts'
import { beginName, followsName, generationName, isManifest, isPart, isSegment, segmentOf } from './names.ts'
import type { Place } from './place.ts'

/** Every moment of so many milliseconds can be restored. */
export const EVERY_MOMENT_MS = 86_400_000

export interface Pruned {
  readonly segments: number
  readonly bases: number
}

interface Dated {
  readonly createdAt: Date
  readonly manifest: BaseManifest
}

/**
 * Keeps the newest base that is older than 24 hours, everything after it, and the earlier bases that `keep` names. The base must be that
 * old by the clock and by the segments after it, so that a clock that jumps drops nothing. A base that cannot be read is left where it
 * is, and counts as none.
 */
export async function prune(place: Place, keep: Retention, now: Date): Promise<Pruned> {
  const bases: Dated[] = []
  const generations = await generationsOf(place)
  const names = new Map<number, readonly string[]>()
  for (const generation of generations) {
    await place.sweep?.(generationName(generation))
    const found = await place.list(generationName(generation))
    names.set(generation, found)
    for (const name of found.filter(isManifest)) {
      const manifest = await readManifest(place, name).catch(() => undefined)
      if (manifest !== undefined) bases.push({ createdAt: new Date(manifest.at), manifest })
    }
  }
  const oldest = await oldestNeeded(bases, new Ages(place, names, now), now)
  if (oldest === undefined) return { segments: 0, bases: 0 }
  const isFuture = ({ createdAt }: Dated): boolean => createdAt > now
  const dated = [
    ...retained(
      bases.filter((base) => !isFuture(base)),
      keep,
    ).keys(),
  ]
  const kept = new Set([...dated, ...bases.filter(isFuture)].map(({ manifest }) => manifest))
  const needed = (generation: number, segment: number): boolean =>
    generation > oldest.manifest.generation ||
    (generation === oldest.manifest.generation && segment >= oldest.manifest.segment)
  const deleted = { segments: 0, bases: 0 }
  for (const { manifest } of bases) {
    const { generation, segment } = manifest
    if (needed(generation, segment) || kept.has(manifest)) continue
    // The manifest first: without it, a base is none.
    const own = (names.get(generation) ?? []).filter((name) => segmentOf(name) === segment && !isSegment(name))
    for (const name of own.sort((a, b) => Number(isPart(a)) - Number(isPart(b)))) await place.remove(name)
    deleted.bases++
  }
  for (const generation of generations) {
    for (const name of names.get(generation) ?? []) {
      if (!isSegment(name) || needed(generation, segmentOf(name))) continue
      await place.remove(name)
      deleted.segments++
    }
    // A generation's `begin` may only go with the rest of it, and never the newest one's: it fences.
    const isEmpty = generation < oldest.manifest.generation && !bases.some((base) => isKept(base, generation, kept))
    if (isEmpty) for (const name of [followsName(generation), beginName(generation)]) await place.remove(name)
  }
  return deleted
}

/** The newest base that is 24 hours old. */
async function oldestNeeded(bases: readonly Dated[], ages: Ages, now: Date): Promise<Dated | undefined> {
  for (const base of bases.toReversed()) {
    if (now.getTime() - base.createdAt.getTime() < EVERY_MOMENT_MS) continue
    // One step more: a clock that jumped has hidden as much.
    if ((await ages.of(base.manifest)) >= EVERY_MOMENT_MS + LONGEST_STEP_MS) return base
  }
  return undefined
}

const isKept = ({ manifest }: Dated, generation: number, kept: ReadonlySet<BaseManifest>): boolean =>
  manifest.generation === generation && kept.has(manifest)
