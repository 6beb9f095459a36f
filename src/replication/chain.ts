/** Ships segments and bases: the writing end of a chain. */
import type { LogPosition } from '../database/session.ts'
import { machineTime, performance } from '../event-loop.ts'
import type { Table } from '../schema/tables.ts'
import { Bases } from './bases.ts'
import { ChainBroken, positionAt, type Reached, writeChanges } from './cut.ts'
import { fenced, isFenced, Outrun, ofAnother } from './errors.ts'
import { type At, type Begin, begin, beginOf, generationsOf, lastOf, seal } from './generation.ts'
import { intend, intendNext, intentOf, isIntended, type Lineage, lineageOf, noteLineage, ownLineage } from './ledger.ts'
import { segmentName } from './names.ts'
import { type Header, ObjectWriter, opened, type SegmentHeader, VERSION } from './object.ts'
import { claimed, createdOwn, type Place, registrationOf } from './place.ts'
import type { CommittedState, Source } from './source.ts'
import { columnsOf, descriptionsOf } from './tables.ts'

/** The log keeps changes for so long after the last renewal, in milliseconds. */
const KEPT_MS = 86_400_000
const RENEW_EVERY_MS = 5_000
const RENEW_IDLE_MS = 3_600_000
/** On PostgreSQL, the position is verified and its digest begins anew, in milliseconds. */
const ANCHOR_EVERY_MS = 1_000
/** More changes than that make a new generation. */
const MOST_BEHIND = 1_000_000
/** A segment without rows is shipped after so many entries of other tables: the log must not grow for ever. */
const EMPTY_ENTRIES = 10_000

export interface ChainOptions {
  readonly source: () => Promise<Source>
  readonly place: Place
  readonly now: () => Date
  /** Replaces the limits after which a base is due. For tests. */
  readonly baseEverySegments?: number | undefined
}

interface Head extends At {
  readonly log: string
  /** As in the segment's header; `position` is the same place in newer words. */
  readonly to: string
  readonly position: string
  /** `''` in a generation without segments. */
  readonly schema: string
  /** Descriptions of the application's own tables. */
  readonly own: readonly string[]
}

/** A segment that was cut. It is shipped again as it is until the place has it: an answer may have been lost. */
interface Cut {
  readonly header: SegmentHeader
  readonly bytes: Buffer
  readonly hash: string
  readonly rows: number
}

export interface Shipped {
  readonly generation: number
  readonly segment: number
  readonly rows: number
  readonly bytes: number
}

export interface Step {
  /** Every commit up to this moment is in the place. */
  readonly upTo: Date
  readonly shipped?: Shipped
}

export class Chain {
  readonly #options: ChainOptions
  #id = ''
  #source: Source | undefined
  #lineage: Lineage | undefined
  #head: Head | undefined
  #pending: Cut | undefined
  #renewedAt = 0
  #anchoredAt = 0
  #isRegisteredAtHead = true
  readonly #bases: Bases

  constructor(options: ChainOptions) {
    this.#options = options
    this.#bases = new Bases(options.place, { everySegments: options.baseEverySegments, now: options.now })
  }

  get at(): At | undefined {
    return this.#head
  }

  /** Makes this database a standby of the place. */
  async refuseWrites(): Promise<void> {
    const source = await this.#options.source()
    const nowhere = { generation: 0, segment: 0, hash: '', at: new Date(0).toISOString() }
    await source.refuseWrites({ ...nowhere, place: this.#id }, this.#options.now())
  }

  /** Whether a restore is possible from this generation. */
  get hasBase(): boolean {
    return this.#bases.hasOne
  }

  /** Forgets the place's state: the next step looks again. */
  leave(): void {
    this.#head = undefined
    this.#pending = undefined
  }

  /** After an error that another attempt would only repeat. A segment whose upload failed is kept, to be sent again as it is. */
  leaveAfter(error: unknown): void {
    if (error instanceof Outrun || isFenced(error)) this.leave()
  }

  /** Ends a base that is being written. */
  stop(): Promise<void> {
    return this.#bases.stop()
  }

  /** Ships what was committed since the last step. Throws Outrun, MOVED (fenced), and StorageErrors. */
  async step(): Promise<Step> {
    const source = await this.#options.source()
    if (source !== this.#source) this.leave()
    this.#source = source
    try {
      if (this.#head === undefined) await this.#enter(source)
      return await this.#advance(source)
    } catch (error) {
      if (!(error instanceof ChainBroken)) throw error
      this.leave()
      const newest = (await generationsOf(this.#options.place)).at(-1) ?? 0
      await this.#begin(source, newest + 1)
      return this.#advance(source)
    }
  }

  async #enter(source: Source): Promise<void> {
    const { place, now } = this.#options
    await place.prepare()
    this.#id = await claimed(place, now())
    const newest = (await generationsOf(place)).at(-1)
    const noted = await lineageOf(source.session, this.#id)
    // The data of a file may have moved to this database.
    const known = noted ?? (this.#lineage && { ...this.#lineage, takesOver: true })
    if (newest === undefined) return this.#begin(source, 1)
    if (known === undefined) throw ofAnother(place)
    this.#lineage = await ownLineage(source.session, this.#id, known, this.#options.now())
    const begun = await beginOf(place, newest)
    if (begun !== undefined && !this.#lineage.takesOver) {
      if (begun.lineage !== this.#lineage.id) throw fenced(place, newest)
      if (await this.#resumed(source, begun)) return
    }
    await this.#begin(source, newest + 1)
  }

  /** Goes on where the place's newest generation is this database's own, and the log has everything after it. */
  async #resumed(source: Source, { generation }: Begin): Promise<boolean> {
    const { place } = this.#options
    const intent = await intentOf(source.session, this.#id)
    if (intent === undefined || intent.generation !== generation || intent.segment === 0) return false
    if ((await place.get(segmentName(generation, intent.segment + 1))) !== undefined) return false
    let segment = intent.segment
    let bytes = await place.get(segmentName(generation, segment))
    if (bytes === undefined && segment > 1) bytes = await place.get(segmentName(generation, --segment))
    if (bytes === undefined) return false
    const { header, hash } = await opened<SegmentHeader>(
      bytes,
      segmentName(generation, segment),
      'meshstore-segment',
    ).catch(() => ({ header: undefined, hash: '' }))
    if (header === undefined || (segment === intent.segment && !isIntended(intent, hash))) return false
    const from = { log: header.log, position: header.to }
    if (!(await source.changeLog.resume(registrationOf(this.#id), this.#keptUntil(), from))) return false
    this.#goOnFrom({
      generation,
      segment,
      hash,
      log: header.log,
      to: header.to,
      schema: header.schema,
      own: header.own ?? [],
    })
    await this.#bases.find(generation, segment)
    return true
  }

  #goOnFrom(head: Omit<Head, 'position'>): void {
    this.#head = { ...head, position: head.to }
    this.#renewedAt = performance.now()
    this.#isRegisteredAtHead = true
  }

  /** The process that creates a generation's first object fences the earlier generations. */
  async #begin(source: Source, generation: number): Promise<void> {
    const { place, now } = this.#options
    const { session, changeLog } = source
    const own = this.#lineage ?? { id: crypto.randomUUID() }
    this.#lineage = await ownLineage(session, this.#id, own, this.#options.now())
    const begun = await begin(place, generation, this.#lineage.id, now())
    if (begun === undefined) throw new Outrun(`Another process has begun generation ${generation}.`)
    await intend(session, this.#id, { generation, segment: 0, hash: begun.hash }, this.#options.now())
    if (this.#lineage.takesOver) {
      this.#lineage = { id: this.#lineage.id }
      await noteLineage(session, this.#id, this.#lineage, this.#options.now())
    }
    if (generation > 1) {
      // A damaged chain must not keep a new one from beginning.
      const last = await lastOf(place, generation - 1).catch(() => undefined)
      if (last !== undefined) await seal(place, generation, last)
    }
    const { log, position } = await changeLog.begin(registrationOf(this.#id), this.#keptUntil())
    this.#bases.beginAnew()
    this.#goOnFrom({ generation, segment: 0, hash: begun.hash, log, to: position, schema: '', own: [] })
  }

  /** By the machine's clock, which prunes the log. */
  #keptUntil(): Date {
    return new Date(machineTime().getTime() + KEPT_MS)
  }

  async #advance(source: Source): Promise<Step> {
    if (this.#pending !== undefined) await this.#ship(source, this.#pending)
    const head = await this.#anchored(source)
    const at = this.#options.now()
    const isBaseDue = this.#bases.isDue()
    const behind = await source.behind(head)
    if (behind !== undefined && behind > MOST_BEHIND)
      throw new ChainBroken(`More than ${MOST_BEHIND} changes were not shipped.`)
    if (behind === 0 && !isBaseDue) return this.#idle(source, at)
    if (isBaseDue) return this.#cutWithBase(source, at)
    const cut = await source.withState((state) => this.#cut(state, at))
    return cut === undefined ? this.#idle(source, at) : this.#ship(source, cut)
  }

  async #anchored(source: Source): Promise<Head> {
    const head = this.#head
    if (head === undefined) throw new Outrun('The chain was left.')
    if (performance.now() - this.#anchoredAt < ANCHOR_EVERY_MS) return head
    const at = await source.changeLog.anchor({ log: head.log, position: head.position })
    if (at === undefined) throw new ChainBroken('The server does not have what was read from it.')
    this.#anchoredAt = performance.now()
    this.#head = { ...head, position: at.position }
    return this.#head
  }

  async #idle(source: Source, upTo: Date): Promise<Step> {
    await this.#assertNewest()
    await this.#renew(source)
    return { upTo }
  }

  /** `undefined`: there is nothing to ship. */
  async #cut(state: CommittedState, at: Date, { withBase = false } = {}): Promise<Cut | undefined> {
    const head = this.#head
    if (head === undefined) throw new Outrun('The chain was left.')
    const tables = await state.tables()
    const { schemaVersion } = state
    if (head.schema !== '' && schemaVersion !== head.schema) throw new ChainBroken('The schema has changed.')
    if (head.schema !== '' && JSON.stringify(descriptionsOf(tables)) !== JSON.stringify(head.own))
      throw new ChainBroken("The application's own tables have changed.")
    const from: LogPosition = { log: head.log, position: head.position }
    const writer = new ObjectWriter()
    const reached = await this.#read(state, { from, tables }, writer)
    const rows = writer.lines
    if (!withBase && rows === 0 && reached.entries < EMPTY_ENTRIES) return undefined
    const header: SegmentHeader = {
      ...headerOf('meshstore-segment', head, { at, schema: schemaVersion, tables }),
      format: 'meshstore-segment',
      prev: head.hash,
      log: head.log,
      from: head.position,
      to: reached.position,
    }
    return { header, ...(await writer.end(header)), rows }
  }

  /** The first segment has no rows: the base holds them. */
  async #read(
    state: CommittedState,
    { from, tables }: { readonly from: LogPosition; readonly tables: readonly Table[] },
    writer: ObjectWriter,
  ): Promise<Reached> {
    if (this.#head?.segment === 0) return { position: await positionAt(state, from), entries: 0 }
    return writeChanges(state, from, tables, writer)
  }

  /** Resolves when the segment is shipped. The base follows, while segments go on. */
  #cutWithBase(source: Source, at: Date): Promise<Step> {
    return this.#bases.write(source, async (state) => {
      const cut = await this.#cut(state, at, { withBase: true })
      if (cut === undefined) throw new ChainBroken('Nothing was cut.')
      const shipped = await this.#ship(source, cut)
      const { generation, segment, schema } = cut.header
      const tables = await state.tables()
      const header = headerOf('meshstore-base', { generation, segment: segment - 1 }, { at, schema, tables })
      return { shipped, base: { tables, header, hash: cut.hash } }
    })
  }

  /** Resolves when a base that is being written is there. Rejects if it failed. */
  based(): Promise<void> {
    return this.#bases.written()
  }

  /** Why the last base could not be written. */
  get baseFailure(): unknown {
    return this.#bases.failure
  }

  async #ship(source: Source, cut: Cut): Promise<Step> {
    const { generation, segment, at, log, to, schema, own = [] } = cut.header
    this.#pending = cut
    await this.#intend(source, { generation, segment, hash: cut.hash })
    if (!(await createdOwn(this.#options.place, segmentName(generation, segment), cut.bytes)))
      throw new Outrun(`Another process ships to ${this.#options.place.name}.`)
    await this.#assertNewest()
    this.#pending = undefined
    this.#head = { generation, segment, hash: cut.hash, log, to, position: to, schema, own }
    this.#isRegisteredAtHead = false
    this.#bases.shipped(cut.bytes.length)
    await this.#renew(source)
    return { upTo: new Date(at), shipped: { generation, segment, rows: cut.rows, bytes: cut.bytes.length } }
  }

  /** Before the segment arrives, the database knows of it. */
  async #intend({ session }: Source, next: At): Promise<void> {
    const head = this.#head
    if (head === undefined) throw new Outrun('The chain was left.')
    const outcome = await intendNext(session, this.#id, { head, next }, this.#options.now())
    if (outcome === 'ahead') throw new Outrun('Another process ships this database.')
    if (outcome === 'behind') throw new ChainBroken('The database does not know what was shipped of it.')
  }

  /** Throws MOVED if a newer generation has fenced this database: its segments would not count. */
  async #assertNewest(): Promise<void> {
    const head = this.#head
    if (head === undefined) return
    const next = await beginOf(this.#options.place, head.generation + 1)
    if (next === undefined) return
    if (next.lineage === this.#lineage?.id) throw new Outrun('Another process has begun a generation.')
    this.leave()
    throw fenced(this.#options.place, next.generation)
  }

  /** The log keeps what comes after the last segment that has arrived. */
  async #renew(source: Source): Promise<void> {
    const head = this.#head
    const since = performance.now() - this.#renewedAt
    if (head === undefined || since < (this.#isRegisteredAtHead ? RENEW_IDLE_MS : RENEW_EVERY_MS)) return
    const at = { log: head.log, position: head.to }
    if (!(await source.changeLog.renew(registrationOf(this.#id), this.#keptUntil(), at)))
      throw new ChainBroken('The change log has forgotten this replica.')
    this.#renewedAt = performance.now()
    this.#isRegisteredAtHead = true
  }
}

function headerOf(
  format: Header['format'],
  { generation, segment }: Pick<At, 'generation' | 'segment'>,
  { at, schema, tables }: { at: Date; schema: string; tables: readonly Table[] },
): Header {
  return {
    format,
    version: VERSION,
    generation,
    segment: segment + 1,
    at: at.toISOString(),
    schema,
    tables: columnsOf(tables),
    own: descriptionsOf(tables),
  }
}
