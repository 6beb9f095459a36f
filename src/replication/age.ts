/** Measures how old a base is by the objects that were shipped after it. */
import type { At } from './generation.ts'
import { readSegment } from './look.ts'
import { isSegment, segmentOf } from './names.ts'
import type { Place } from './place.ts'

/** Between two segments, at most so many milliseconds count: a clock that jumps ahead by days ages nothing by more. */
export const LONGEST_STEP_MS = 3_600_000

type Position = Pick<At, 'generation' | 'segment'>

export class Ages {
  readonly #place: Place
  readonly #segments: readonly Position[]
  readonly #now: Date
  /** In milliseconds. `null`: the segment cannot be read. */
  readonly #times = new Map<Position, number | null>()

  /** `names`: the objects of each generation, ascending. */
  constructor(place: Place, names: ReadonlyMap<number, readonly string[]>, now: Date) {
    this.#place = place
    this.#segments = [...names].flatMap(([generation, all]) =>
      all.filter(isSegment).map((name) => ({ generation, segment: segmentOf(name) })),
    )
    this.#now = now
  }

  /** Milliseconds from the first segment that is not before `since` until now. Reads some dozens of segments for a day. */
  async of(since: Position): Promise<number> {
    const first = this.#segments.findIndex((each) => !isBefore(each, since))
    const last = this.#segments.length - 1
    if (first < 0) return 0
    const newest = await this.#timeAt(last)
    const rest = newest === undefined ? 0 : counted(this.#now.getTime() - newest)
    return rest + (await this.#between(first, last))
  }

  /** Halves the range until its parts are short steps, or have no segments in them. */
  async #between(first: number, last: number): Promise<number> {
    if (first >= last) return 0
    const [from, to] = [await this.#timeAt(first), await this.#timeAt(last)]
    if (from === undefined || to === undefined) return 0
    if (to - from <= LONGEST_STEP_MS || last - first === 1) return counted(to - from)
    const middle = Math.floor((first + last) / 2)
    return (await this.#between(first, middle)) + (await this.#between(middle, last))
  }

  /** The time of the segment, or of the one before it that can be read. */
  async #timeAt(index: number): Promise<number | undefined> {
    for (let at = index; at >= 0; at--) {
      const segment = this.#segments[at]
      const time = segment && (await this.#time(segment))
      if (typeof time === 'number') return time
    }
    return undefined
  }

  async #time(position: Position): Promise<number | null> {
    const known = this.#times.get(position)
    if (known !== undefined) return known
    const { generation, segment } = position
    const found = await readSegment(this.#place, generation, segment).catch(() => undefined)
    const time = found === undefined ? null : Date.parse(found.header.at)
    this.#times.set(position, time)
    return time
  }
}

const isBefore = (one: Position, other: Position): boolean =>
  one.generation < other.generation || (one.generation === other.generation && one.segment < other.segment)

const counted = (milliseconds: number): number => Math.min(Math.max(0, milliseconds), LONGEST_STEP_MS)
