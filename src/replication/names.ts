/** Names of the objects in a place. They sort in the order in which they were made. */

const GENERATION = /^g(\d{6})$/
const NUMBER = /\/(\d{10})\./

export const generationName = (generation: number): string => `g${String(generation).padStart(6, '0')}`

/** `undefined` for a folder of another program. */
export function generationOf(folder: string): number | undefined {
  const [, number] = GENERATION.exec(folder) ?? []
  return number === undefined ? undefined : Number(number)
}

const numbered = (generation: number, segment: number): string =>
  `${generationName(generation)}/${String(segment).padStart(10, '0')}`

/** The process that creates a generation's `begin` fences the earlier generations. */
export const beginName = (generation: number): string => `${generationName(generation)}/begin`
/** Names the last segment of the earlier generation that counts. */
export const followsName = (generation: number): string => `${generationName(generation)}/follows`
export const segmentName = (generation: number, segment: number): string => `${numbered(generation, segment)}.segment`
/** A base counts from when its manifest is there. */
export const manifestName = (generation: number, segment: number): string =>
  `${numbered(generation, segment)}.base.json`
export const partName = (generation: number, segment: number, part: number): string =>
  `${numbered(generation, segment)}.base-${String(part).padStart(6, '0')}`

/** The segment that an object belongs to. */
export const segmentOf = (name: string): number => Number(NUMBER.exec(name)?.[1] ?? 0)
export const isSegment = (name: string): boolean => name.endsWith('.segment')
export const isManifest = (name: string): boolean => name.endsWith('.base.json')
export const isPart = (name: string): boolean => name.includes('.base-')
