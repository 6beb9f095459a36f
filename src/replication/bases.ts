/** When the next base is due, and the writing of it while segments go on. */
import { StorageError } from '../errors.ts'
import { performance, sleep } from '../event-loop.ts'
import type { Table } from '../schema/tables.ts'
import { readManifest, writeBase } from './base.ts'
import { Outrun } from './errors.ts'
import { generationName, isManifest } from './names.ts'
import type { Header } from './object.ts'
import { createdOwn, type Place } from './place.ts'
import type { CommittedState, Source } from './source.ts'

/** A base is due after so many shipped bytes and as many as the last base had, or so many segments, or so long. */
const BASE_BYTES = 16_777_216
const BASE_SEGMENTS = 10_000
const BASE_EVERY_MS = 86_400_000
/** After a failure the next base is begun so much later, in milliseconds: it reads the whole database. */
const AGAIN_MS = 60_000
/** Attempts to store a part of a base, and the first pause between two, in milliseconds. */
const PART_ATTEMPTS = 5
const PART_PAUSE_MS = 100

/** The base that belongs to a segment. */
export interface BaseOf {
  readonly header: Header
  readonly tables: readonly Table[]
  readonly hash: string
}

export class Bases {
  readonly #place: Place
  readonly #everySegments: number
  readonly #now: () => Date
  #last: { readonly bytes: number; readonly since: number } | undefined
  #bytesSince = 0
  #segmentsSince = 0
  #writing: Promise<void> | undefined
  #failure: unknown
  #notBefore = 0
  #stopping = new AbortController()

  constructor(
    place: Place,
    { everySegments = BASE_SEGMENTS, now }: { everySegments?: number | undefined; now: () => Date },
  ) {
    this.#place = place
    this.#everySegments = everySegments
    this.#now = now
  }

  /** Whether the generation has a base. */
  get hasOne(): boolean {
    return this.#last !== undefined
  }

  /** Why the last base could not be written. */
  get failure(): unknown {
    return this.#failure
  }

  /** A generation begins, without a base. */
  beginAnew(): void {
    this.#last = undefined
  }

  /** Goes on with a generation: the next base is due by what was shipped since its last one, as far as that is known. */
  async find(generation: number, segment: number): Promise<void> {
    const name = (await this.#place.list(generationName(generation))).findLast(isManifest)
    const manifest = name === undefined ? undefined : await readManifest(this.#place, name).catch(() => undefined)
    const ageMs = manifest === undefined ? 0 : this.#now().getTime() - Date.parse(manifest.at)
    this.#last = manifest && { bytes: manifest.bytes, since: performance.now() - ageMs }
    this.#bytesSince = 0
    this.#segmentsSince = segment - (manifest?.segment ?? 0)
  }

  shipped(bytes: number): void {
    this.#bytesSince += bytes
    this.#segmentsSince++
  }

  isDue(): boolean {
    if (this.#writing !== undefined || performance.now() < this.#notBefore) return false
    const last = this.#last
    if (last === undefined) return true
    return (
      this.#bytesSince > Math.max(BASE_BYTES, last.bytes) ||
      this.#segmentsSince >= this.#everySegments ||
      (this.#segmentsSince > 0 && performance.now() - last.since > BASE_EVERY_MS)
    )
  }

  /** Ships a segment, then writes the base of the same state. Resolves when the segment is shipped: the base follows. */
  write<T>(source: Source, ship: (state: CommittedState) => Promise<{ shipped: T; base: BaseOf }>): Promise<T> {
    const result = Promise.withResolvers<T>()
    let isShipped = false
    const work = async (state: CommittedState): Promise<void> => {
      const { shipped, base } = await ship(state)
      isShipped = true
      result.resolve(shipped)
      const { signal } = this.#stopping
      const { bytes } = await writeBase(state, { ...base, signal }, (name, part) => this.#store(name, part))
      this.#last = { bytes, since: performance.now() }
      this.#bytesSince = 0
      this.#segmentsSince = 0
      this.#failure = undefined
    }
    this.#writing = source
      .withState(work, { long: true })
      .catch((error) => {
        result.reject(error)
        if (this.#stopping.signal.aborted || !isShipped) return
        this.#failure = error
        this.#notBefore = performance.now() + AGAIN_MS
      })
      .finally(() => {
        this.#writing = undefined
      })
    return result.promise
  }

  /** Resolves when a base that is being written is there. Rejects if it failed. */
  async written(): Promise<void> {
    await this.#writing
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Ends a base that is being written. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#writing
    this.#stopping = new AbortController()
  }

  /** Tries again by itself: a base that fails has to be read anew. */
  async #store(name: string, bytes: Uint8Array): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        if (await createdOwn(this.#place, name, bytes)) return
        throw new Outrun(`Another process has written ${name}.`)
      } catch (error) {
        const mayPass = error instanceof StorageError && error.retryable
        if (!mayPass || attempt === PART_ATTEMPTS || this.#stopping.signal.aborted) throw error
        await sleep(PART_PAUSE_MS * 2 ** attempt)
      }
    }
  }
}
