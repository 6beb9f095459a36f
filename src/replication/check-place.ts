/** Says what a place can restore, and what is wrong with it. Changes nothing, and needs no database. */
import { StorageError } from '../errors.ts'
import type { BaseManifest } from './base.ts'
import { type Generation, generationsIn, readSegment } from './look.ts'
import { type Span, spansOf } from './moment.ts'
import { generationName, partName, segmentName } from './names.ts'
import { opened, type PartHeader, type SegmentHeader } from './object.ts'
import { idOf, type Place } from './place.ts'
import { EVERY_MOMENT_MS } from './prune.ts'

export interface PlaceFinding {
  /** `error`: moments are lost. `warning`: an operator should act. `info`: worth knowing. */
  readonly severity: 'error' | 'warning' | 'info'
  /** A sentence, with the name of the object. */
  readonly message: string
  /** The operator's next step. */
  readonly advice: string
}

export interface PlaceReport {
  readonly place: string
  /** The newest generation. */
  readonly generation: number
  /** The moments that can be restored without a gap, ascending. */
  readonly spans: readonly Span[]
  /** The newest moment that can be restored, and its age. Nothing is shipped while nothing is written. */
  readonly newest?: { readonly generation: number; readonly segment: number; readonly at: string }
  readonly ageSeconds?: number
  readonly segments: number
  readonly bases: number
  /** The worst first. */
  readonly findings: readonly PlaceFinding[]
}

export interface PlaceOptions {
  readonly now: Date
  /** Looks at names and manifests alone. */
  readonly quick?: boolean | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** Objects that are read at once. */
const AHEAD = 8
const SEVERITIES = ['error', 'warning', 'info'] as const
const VERIFY = 'Run meshstore replicate --to PLACE --verify, which says up to when everything can be restored.'
const NEW_BASE =
  'Keep the place. If the database still ships to it, the next base closes the gap. Otherwise ship to an empty place.'

/** Throws CONFIG if the place holds no replica, and UNAVAILABLE. */
export async function checkPlace(place: Place, options: PlaceOptions): Promise<PlaceReport> {
  if ((await idOf(place)) === undefined)
    throw new StorageError('CONFIG', `${place.name} holds no replica. Look at its name.`)
  const generations = await generationsIn(place)
  const findings: PlaceFinding[] = []
  const bad = options.quick ? new Set<string>() : await damagedIn(place, generations, options, findings)
  const trusted = generations.map((generation) => without(generation, bad))
  const spans = await spansOf(place, trusted)
  findings.push(...generations.flatMap(findingsOf), ...gapsIn(trusted, spans, options.now))
  const last = generations.at(-1)
  const reached = spans.at(-1)
  if (last === undefined || reached === undefined)
    findings.push({
      severity: 'warning',
      message: 'Nothing can be restored: there is no whole base.',
      advice: 'Wait for the first base, and look at health().replication of the database.',
    })
  else if (reached.generation < last.generation)
    findings.push({
      severity: 'warning',
      message: `Generation ${last.generation} has no base yet: nothing of it can be restored.`,
      advice: 'Wait for its first base. Until then restore gives the last moment of the generation before.',
    })
  const newest = reached && { generation: reached.generation, ...reached.to }
  return {
    place: place.name,
    generation: last?.generation ?? 0,
    spans,
    ...(newest && { newest, ageSeconds: Math.max(0, (options.now.getTime() - Date.parse(newest.at)) / 1_000) }),
    segments: generations.reduce((sum, { segments }) => sum + segments.length, 0),
    bases: generations.reduce((sum, { bases }) => sum + bases.length, 0),
    findings: SEVERITIES.flatMap((severity) => findings.filter((finding) => finding.severity === severity)),
  }
}

const without = (generation: Generation, bad: ReadonlySet<string>): Generation => ({
  ...generation,
  segments: generation.segments.filter((segment) => !bad.has(segmentName(generation.generation, segment))),
  bases: generation.bases.filter((base) => !bad.has(baseName(base))),
})

const baseName = ({ generation, segment }: BaseManifest): string => `${generationName(generation)}/${segment}`

const findingsOf = ({ damaged, generation, lineage }: Generation): PlaceFinding[] => [
  ...damaged.map((name) => ({
    severity: 'error' as const,
    message: `${name} is damaged: this base is lost. Moments after it need an earlier base.`,
    advice: VERIFY,
  })),
  ...(lineage === undefined
    ? [
        {
          severity: 'error' as const,
          message: `${generationName(generation)}/begin is damaged or missing: no database can go on with this generation.`,
          advice: 'What it holds can be restored. Then ship to an empty place.',
        },
      ]
    : []),
]

/** Segments before the newest base of more than 24 hours are pruned: that is no damage. */
function gapsIn(generations: readonly Generation[], spans: readonly Span[], now: Date): PlaceFinding[] {
  const bases = generations.flatMap((generation) => generation.bases)
  const kept = bases.findLast(({ at }) => now.getTime() - Date.parse(at) >= EVERY_MOMENT_MS)
  return spans.flatMap(({ generation, to, missing }) => {
    if (missing === undefined) return []
    const isPruned =
      kept !== undefined &&
      (generation < kept.generation || (generation === kept.generation && missing.last <= kept.segment))
    if (isPruned) return []
    const { first, last } = missing
    const names = first === last ? segmentName(generation, first) : `${segmentName(generation, first)} to ${last}`
    const next = spans.find((span) => span.generation === generation && span.from.segment > to.segment)
    // A base is as of its segment: the segment itself is not needed.
    if (next !== undefined && next.from.segment <= first) return []
    const until =
      next === undefined ? 'Nothing later of this generation' : `Nothing between ${to.at} and ${next.from.at}`
    return [
      {
        severity: 'error' as const,
        message: `${names} ${first === last ? 'is' : 'are'} missing or damaged. ${until} can be restored.`,
        advice: NEW_BASE,
      },
    ]
  })
}

/** Reads every object. Returns the names of those that cannot be used: segments, and bases by their generation and segment. */
async function damagedIn(
  place: Place,
  generations: readonly Generation[],
  { onProgress, signal }: PlaceOptions,
  findings: PlaceFinding[],
): Promise<ReadonlySet<string>> {
  const bad = new Set<string>()
  const tried = async (name: string, work: () => Promise<string | undefined>): Promise<void> => {
    const problem = await work().catch((error: unknown) => {
      if (error instanceof StorageError && (error.code === 'BACKUP_INVALID' || error.code === 'SCHEMA_NEWER'))
        return error.message
      throw error
    })
    done++
    if (problem === undefined) return
    bad.add(name)
    findings.push({ severity: 'error', message: problem, advice: VERIFY })
  }
  const todo: (() => Promise<void>)[] = []
  for (const { generation, segments, bases } of generations) {
    // The hash of the last segment that was read, which the next one names.
    const hashes = new Map<number, { hash: string; prev: string }>()
    for (const segment of segments) {
      const name = segmentName(generation, segment)
      todo.push(() =>
        tried(name, async () => {
          const found = await readSegment(place, generation, segment)
          if (found === undefined) return `${name} went away meanwhile.`
          hashes.set(segment, { hash: found.hash, prev: found.header.prev })
          return problemOfChain(hashes, segment, name)
        }),
      )
    }
    for (const base of bases) todo.push(() => tried(baseName(base), () => problemOfBase(place, base)))
  }
  let done = 0
  for (let at = 0; at < todo.length; at += AHEAD) {
    signal?.throwIfAborted()
    await Promise.all(todo.slice(at, at + AHEAD).map((work) => work()))
    onProgress?.(done, todo.length)
  }
  return bad
}

/** Segments arrive in any order: compares one with its neighbours that are known. */
function problemOfChain(
  hashes: Map<number, Pick<SegmentHeader, 'prev'> & { readonly hash: string }>,
  segment: number,
  name: string,
): string | undefined {
  const [before, own, after] = [segment - 1, segment, segment + 1].map((number) => hashes.get(number))
  if (before !== undefined && own !== undefined && own.prev !== before.hash)
    return `${name} does not follow the segment before it, and must not be used.`
  if (after !== undefined && own !== undefined && after.prev !== own.hash)
    return `The segment after ${name} does not follow it, and must not be used.`
  // Neighbours that were compared are needed no more.
  hashes.delete(segment - AHEAD * 2)
  return undefined
}

async function problemOfBase(place: Place, { generation, segment, parts }: BaseManifest): Promise<string | undefined> {
  for (const [part, expected] of parts.entries()) {
    const name = partName(generation, segment, part)
    const bytes = await place.get(name)
    if (bytes === undefined) return `${name} is missing: this base is lost. Moments after it need an earlier base.`
    const { hash } = await opened<PartHeader>(bytes, name, 'meshstore-base')
    if (hash !== expected) return `${name} is not the part that was written: this base is lost.`
  }
  return undefined
}
