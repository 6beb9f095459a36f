/** Follows a place with a standby, and promotes the standby. */
import { StorageError } from '../errors.ts'
import { machineTime } from '../event-loop.ts'
import { configOf, databaseOf } from '../open/config.ts'
import { openTarget } from '../open/open.ts'
import { tablesFor } from '../rows/target-tables.ts'
import { type BaseManifest, readManifest } from './base.ts'
import { begin, beginOf, generationsOf, seal } from './generation.ts'
import { generationsIn, readSegment } from './look.ts'
import { baseOf } from './moment.ts'
import { generationName, isSegment, manifestName, segmentName, segmentOf } from './names.ts'
import { linesOf } from './object.ts'
import { idOf, type Place } from './place.ts'
import { assertContent, loadBase, type OnProgress } from './replay.ts'
import { type Mark, Overtaken, type Standby } from './standby.ts'
import { assertKnownColumns, tablesOf } from './tables.ts'
import { applyLines } from './target.ts'

interface FollowOptions {
  readonly busyTimeoutMs?: number | undefined
  readonly onProgress?: OnProgress | undefined
}

interface Promoted extends Mark {
  /** Names the damaged or missing segment at which applying ended. The new primary lacks it and everything behind it. */
  readonly problem?: string
}

const NOWHERE = { generation: 0, segment: 0, hash: '', at: new Date(0).toISOString() }

export class Follower {
  readonly #place: Place
  readonly #id: string
  readonly #standby: Standby
  readonly #onProgress: OnProgress | undefined
  #mark: Mark
  #missing: string | undefined
  #isPromoting = false

  private constructor(place: Place, standby: Standby, mark: Mark, onProgress: OnProgress | undefined) {
    this.#place = place
    this.#standby = standby
    this.#mark = mark
    this.#id = mark.place
    this.#onProgress = onProgress
  }

  /**
   * Makes an empty database a standby, or goes on with one. `mayBegin: false`: only goes on. Throws CONFIG if the place holds no
   * replica, the database has rows of its own, or is the standby of another place.
   */
  static async open(
    place: Place,
    url: string,
    { busyTimeoutMs = 5_000, onProgress }: FollowOptions = {},
    { mayBegin = true } = {},
  ): Promise<Follower> {
    const id = await idOf(place)
    if (id === undefined) throw new StorageError('CONFIG', `${place.name} holds no replica. Look at its name.`)
    const standby = await opened(url, busyTimeoutMs)
    try {
      let mark = await standby.mark()
      if (mark === undefined) {
        if (!mayBegin)
          throw new StorageError(
            'CONFIG',
            `${standby.name} is no standby: it was promoted already, or never followed. Nothing was changed. If it has to be one, run meshstore follow first.`,
          )
        mark = { ...NOWHERE, place: id }
        const first = await newestBase(place)
        if (first !== undefined) await assertTables(standby, first)
        await standby.begin(mark)
      }
      if (mark.place !== id)
        throw new StorageError('CONFIG', `${standby.name} is the standby of another place. Use an empty database.`)
      return new Follower(place, standby, mark, onProgress)
    } catch (error) {
      await standby.close()
      throw error
    }
  }

  get mark(): Mark {
    return this.#mark
  }

  /** A missing segment, while later ones are there and wait for the next base: as of the last step that applied nothing. */
  get missing(): string | undefined {
    return this.#missing
  }

  /** The place, without secrets. */
  get from(): string {
    return this.#place.name
  }

  get name(): string {
    return this.#standby.name
  }

  /**
   * Applies one segment, or a base where no segment leads on. `false`: there is nothing new. Throws BACKUP_INVALID, and CONFIG if another
   * process has promoted the standby or has begun to.
   */
  async step(): Promise<boolean> {
    try {
      return await this.#step()
    } catch (error) {
      await this.#catchUpWith(error)
      return true
    }
  }

  async #step(): Promise<boolean> {
    const { generation, segment, promotes } = this.#mark
    if (promotes !== undefined && !this.#isPromoting)
      throw new StorageError(
        'CONFIG',
        `A promotion of ${this.name} has begun: it follows no more. Finish the promotion with meshstore promote.`,
      )
    this.#missing = undefined
    if (segment > 0) {
      const next = await readSegment(this.#place, generation, segment + 1)
      if (next !== undefined) {
        await this.#applySegment(next)
        return true
      }
    }
    if (await this.#applyNewerBase()) return true
    await this.#assertMark()
    return false
  }

  /** Throws `Overtaken` if another process has changed the standby. Without anything to apply nothing else would tell. */
  async #assertMark(): Promise<void> {
    const mark = await this.#standby.mark()
    if (JSON.stringify(mark) !== JSON.stringify(this.#mark)) throw new Overtaken(this.name)
  }

  /** Another process has changed the standby: goes on from there. Throws every other error. */
  async #catchUpWith(error: unknown): Promise<void> {
    if (!(error instanceof Overtaken)) throw error
    const mark = await this.#standby.mark()
    if (mark === undefined)
      throw new StorageError(
        'CONFIG',
        `${this.name} was promoted, and follows no more. Nothing was applied. End its follower.`,
      )
    this.#mark = mark
  }

  async #applySegment({ header, hash, body }: NonNullable<Awaited<ReturnType<typeof readSegment>>>): Promise<void> {
    const { generation, segment, at } = header
    // As the object is called: what is in it may be another segment.
    const name = segmentName(this.#mark.generation, this.#mark.segment + 1)
    if (header.prev !== this.#mark.hash)
      throw new StorageError(
        'BACKUP_INVALID',
        `${name} does not follow what this standby has, and was not applied: it must not be used. Promote this standby as it is, or follow anew with an empty database.`,
      )
    const tables = tablesOf(header)
    assertKnownColumns(header.tables, tables, name)
    const manifest = await readManifest(this.#place, manifestName(generation, segment))
    const mark = { ...this.#mark, generation, segment, hash, at }
    await this.#standby.apply(this.#mark, async ({ target, note }) => {
      for await (const lines of linesOf(body, name)) await applyLines(target, tables, lines)
      if (manifest?.hash === hash) await assertContent(manifest, { target })
      await note(mark)
    })
    this.#mark = mark
  }

  /** A newer generation, or a later base where segments are missing. */
  async #applyNewerBase(): Promise<boolean> {
    const { generation, segment } = this.#mark
    const newest = (await generationsOf(this.#place)).at(-1) ?? 0
    // Nothing but the next segment is looked for while the chain is whole: a step costs two requests.
    const missing = segment === 0 ? undefined : await this.#gap()
    if (newest === generation && missing === undefined) return false
    const base = await newestBase(this.#place)
    const isNewer =
      base !== undefined && (base.generation > generation || (base.generation === generation && base.segment > segment))
    if (!isNewer) {
      this.#missing = missing
      return false
    }
    await assertTables(this.#standby, base)
    await this.#standby.guard(this.#mark)
    const { hash, at } = base
    const mark = { place: this.#id, generation: base.generation, segment: base.segment, hash, at }
    await this.#standby.apply(this.#mark, async ({ target, note }) => {
      await loadBase(this.#place, base, { target, onProgress: this.#onProgress })
      await note(mark)
    })
    this.#mark = mark
    return true
  }

  /** The next segment, if later ones are there and it is not. */
  async #gap(): Promise<string | undefined> {
    const { generation, segment } = this.#mark
    const names = await this.#place.list(generationName(generation), segmentName(generation, segment))
    const first = names.find((name) => isSegment(name) && segmentOf(name) > segment)
    if (first === undefined || segmentOf(first) === segment + 1) return undefined
    return `${segmentName(generation, segment + 1)} is missing.`
  }

  /** The number of segments of this generation that the standby does not have yet. */
  async remaining(): Promise<number> {
    const { generation, segment } = this.#mark
    if (generation === 0) return 0
    const names = await this.#place.list(generationName(generation), segmentName(generation, segment))
    return names.filter((name) => isSegment(name) && segmentOf(name) > segment).length
  }

  /** Applies everything that is there. */
  async catchUp(signal?: AbortSignal): Promise<number> {
    let steps = 0
    while (await this.step()) {
      steps++
      signal?.throwIfAborted()
    }
    return steps
  }

  /**
   * Applies the rest, fences the database that shipped so far, and lets everybody write. A promotion that was killed is finished by
   * running it again. Damage in the place ends what is applied, and is named: it must not keep a standby from its promotion.
   * Throws BUSY if another standby was promoted at the same time.
   */
  async promote(now = machineTime()): Promise<Promoted> {
    this.#isPromoting = true
    let problem = await damageIn(() => this.#catchUpOnce())
    const { generation, lineage } = await this.#promotion()
    const begun = await begin(this.#place, generation, lineage, now)
    const owner = begun ?? (await beginOf(this.#place, generation))
    if (owner?.lineage !== lineage) {
      const { promotes: _, ...mark } = this.#mark
      await this.#note(mark)
      throw new StorageError(
        'BUSY',
        `Another database has begun generation ${generation} of ${this.#place.name}. Nothing was promoted. Look which one it is, then try again.`,
      )
    }
    // Apply the segments that arrived between the last look and the fence.
    problem ??= await damageIn(async () => {
      while (this.#mark.generation < generation && (await this.#stepWithin(this.#mark.generation))) {}
    })
    problem ??= await this.#gap()
    const { segment, hash, at, place } = this.#mark
    await seal(this.#place, generation, { generation: this.#mark.generation, segment, hash })
    const lineageRow = { name: `lineage:${place}`, value: JSON.stringify({ id: lineage }) }
    await this.#standby.release(this.#mark, lineageRow).catch(async (error) => {
      await this.#catchUpWith(error)
      throw error
    })
    return {
      ...{ place, generation, segment, hash, at },
      ...(problem !== undefined && {
        problem: `${problem} Everything up to ${at} is here; what was committed later is not.`,
      }),
    }
  }

  /** Applies what is there now. A primary that goes on may ship faster than this applies: it must not keep a promotion from its fence. */
  async #catchUpOnce(): Promise<void> {
    const newest = (await generationsOf(this.#place)).at(-1) ?? 0
    while (this.#mark.generation < newest && (await this.step())) {}
    for (let left = await this.remaining(); left > 0 && (await this.step()); left--) {}
  }

  async #promotion(): Promise<NonNullable<Mark['promotes']>> {
    if (this.#mark.segment === 0)
      throw new StorageError('CONFIG', 'The standby has nothing yet. Wait for the first base of the place.')
    for (;;) {
      const known = this.#mark.promotes
      if (known !== undefined) return known
      const newest = (await generationsOf(this.#place)).at(-1) ?? 0
      const promotes = { generation: newest + 1, lineage: crypto.randomUUID() }
      // A follower may apply segments meanwhile. It ends when it sees this note.
      await this.#note({ ...this.#mark, promotes }).catch((error) => this.#catchUpWith(error))
    }
  }

  async #note(mark: Mark): Promise<void> {
    await this.#standby.apply(this.#mark, ({ note }) => note(mark))
    this.#mark = mark
  }

  async #stepWithin(generation: number): Promise<boolean> {
    const next = await readSegment(this.#place, generation, this.#mark.segment + 1)
    if (next === undefined) return false
    await this.#applySegment(next)
    return true
  }

  close(): Promise<void> {
    return this.#standby.close()
  }
}

async function damageIn(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (error instanceof StorageError && error.code === 'BACKUP_INVALID') return error.message
    throw error
  }
}

/** `undefined`: there is none yet. */
async function newestBase(place: Place): Promise<BaseManifest | undefined> {
  try {
    return baseOf(await generationsIn(place), undefined).base
  } catch (error) {
    if (error instanceof StorageError && error.code === 'CONFIG') return undefined
    throw error
  }
}

/** Throws SCHEMA_MISMATCH if the application's migrations have not made the base's own tables here. */
async function assertTables(standby: Standby, base: BaseManifest): Promise<void> {
  const source = {
    tables: async () => ({ tables: tablesOf(base), foreignKeys: [] }),
    appMigrations: async () => base.appMigrations ?? [],
    count: async () => 0,
  }
  await tablesFor(source, await standby.tables(), 'never')
}

/** Makes the database, and brings its schema up to date. */
async function opened(url: string, busyTimeoutMs: number): Promise<Standby> {
  const target = databaseOf(url)
  if (target.dialect === 'sqlite' && target.path === ':memory:')
    throw new StorageError('CONFIG', 'A database in memory is gone with the process. Name a file.')
  const config = configOf({ url, busyTimeoutMs, pool: { max: 1 } })
  await (await openTarget(config.target, config)).close()
  if (target.dialect === 'sqlite')
    return (await import('./sqlite-standby.ts')).openSqliteStandby(target.path, busyTimeoutMs)
  return (await import('./postgres-standby.ts')).openPostgresStandby(target, busyTimeoutMs)
}
