/** Keyed queue: for each row, the calls of a store take effect in the order in which they were made. */
import { performance } from '../../event-loop.ts'
import { inWholeTables, MOST_ROWS, type Touched, tableOf } from './touched.ts'

/**
 * `lane`: the write lane keeps the order of calls for one row, so that they need not wait for each other.
 * `transaction`: the transaction names its rows one by one while it runs.
 */
type Kind = 'lane' | 'call' | 'transaction'

/** A call that waits in the queue. `ready` is called when it may run, unless it may at once. */
export interface Waiter {
  ready(): void
}

/** The place of one call. The call may run when `blockers` is 0. */
export class Place {
  /** When the call was made, relative to others. */
  readonly order: number
  kind: Kind
  readonly waiter: Waiter | undefined
  running = false
  done = false
  /** The number of earlier calls that the call still waits for. */
  blockers = 0
  /** When the call began to wait for another session's lock. */
  lockedSince: number | undefined
  readonly rows: Row[] = []
  /** Tables of which the call may concern any row. */
  readonly wholeOf: Table[] = []
  /** Callbacks that wait until the call has ended. */
  untilEnd: (Place | (() => void))[] = []
  /** Callbacks that wait until the call may run. */
  untilReady: Place[] = []

  constructor(order: number, kind: Kind, waiter?: Waiter) {
    this.order = order
    this.kind = kind
    this.waiter = waiter
  }
}

/** Most rows are never read in a transaction. */
const NO_READERS: Set<Place> = new Set()

/** The unfinished calls that concern one row, in the order in which they were made. */
class Row {
  readonly name: string
  readonly table: Table
  readonly lane: Place[] = []
  readonly others: Place[] = []
  /** The transactions among `others` that have only read the row. */
  readers: Set<Place> = NO_READERS

  constructor(name: string, table: Table) {
    this.name = name
    this.table = table
  }
}

/** The unfinished calls that concern one table. */
class Table {
  /** The places that concern some of the table's rows. */
  readonly members: Set<Place> = new Set()
  /** Members that the lane does not run, or cannot run yet. */
  readonly outsideLane: Set<Place> = new Set()
  /** Places that may concern any row of the table, in the order of their calls. */
  readonly wholes: Place[] = []
}

/** A change of these tables drops cached paths: an earlier call must not store its path after the change. */
const TOPOLOGY = ['nodes', 'policies']
const PATHS = 'pathCache'

export class KeyedQueue {
  #order = 0
  readonly #rows = new Map<string, Row>()
  readonly #tables = new Map<string, Table>()
  readonly #topology: ReadonlySet<string>

  /** `topology`: more tables whose changes drop cached paths. */
  constructor(topology: readonly string[] = []) {
    this.#topology = new Set([...TOPOLOGY, ...topology])
  }

  /** The number of rows and tables with unfinished calls. */
  get size(): number {
    let size = this.#rows.size
    for (const { members, wholes } of this.#tables.values()) size += members.size + wholes.length
    return size
  }

  /** Takes the call's place. Call it when the call is made. */
  enter(kind: 'lane' | 'call', touched: Touched, waiter: Waiter): Place {
    const place = new Place(this.#order++, kind, waiter)
    const waitFor = (earlier: Place): void => {
      if (earlier === place) return
      place.blockers++
      earlier.untilEnd.push(place)
    }
    for (const name of touched.rows) this.#enterRow(place, this.#row(name), waitFor)
    for (const name of touched.tables) {
      const table = this.#table(name)
      table.members.forEach(waitFor)
      table.wholes.forEach(waitFor)
      if (this.#topology.has(name)) this.#tables.get(PATHS)?.members.forEach(waitFor)
      table.wholes.push(place)
      place.wholeOf.push(table)
    }
    return place
  }

  #enterRow(place: Place, row: Row, waitFor: (earlier: Place) => void): void {
    for (const other of row.others) {
      waitFor(other)
      if (other.lockedSince !== undefined) place.lockedSince ??= performance.now()
    }
    const last = row.lane.at(-1)
    if (last?.lockedSince !== undefined) place.lockedSince ??= performance.now()
    if (last !== undefined && place.kind !== 'lane') waitFor(last)
    else if (last !== undefined && last.blockers > 0) {
      place.blockers++
      last.untilReady.push(place)
    }
    row.table.wholes.forEach(waitFor)
    for (const path of this.#earlierPaths(row, place)) waitFor(path)
    if (place.kind === 'lane') row.lane.push(place)
    else row.others.push(place)
    place.rows.push(row)
    this.#join(place, row.table)
  }

  /** Takes a transaction's place, which concerns no rows yet. */
  enterTransaction(): Place {
    return new Place(this.#order++, 'transaction')
  }

  /**
   * Adds rows to a transaction's place: from now on later calls wait for its end, unless they already run. Resolves when the earlier
   * calls have ended; `undefined` if they have.
   */
  name(place: Place, touched: Touched, reads: boolean): Promise<void> | undefined {
    const ends: Promise<void>[] = []
    const waitFor = (other: Place): void => {
      if (other.order < place.order) ends.push(ended(other))
    }
    const { rows, tables } = place.rows.length + touched.rows.length > MOST_ROWS ? inWholeTables(touched) : touched
    for (const name of rows) this.#nameRow(place, this.#row(name), reads, waitFor)
    for (const name of tables) this.#nameTable(place, name, reads, waitFor)
    return ends.length === 0 ? undefined : Promise.all(ends).then(() => undefined)
  }

  #nameRow(place: Place, row: Row, reads: boolean, waitFor: (other: Place) => void): void {
    if (row.others.includes(place)) {
      // The transaction's first write of a row that it has read: wait for other transactions that have read the row.
      if (!reads && row.readers.delete(place)) row.readers.forEach(waitFor)
      return
    }
    for (const other of row.others) if (!reads || !row.readers.has(other)) waitFor(other)
    const lane = row.lane.findLast(({ order }) => order < place.order)
    if (lane !== undefined) waitFor(lane)
    row.table.wholes.forEach(waitFor)
    if (!reads) for (const path of this.#earlierPaths(row, place)) waitFor(path)
    for (const later of [...row.lane, ...row.others, ...row.table.wholes]) holdBack(later, place)
    insert(row.others, place)
    if (reads) {
      if (row.readers === NO_READERS) row.readers = new Set()
      row.readers.add(place)
    }
    place.rows.push(row)
    this.#join(place, row.table)
  }

  #nameTable(place: Place, name: string, reads: boolean, waitFor: (other: Place) => void): void {
    const table = this.#table(name)
    if (table.wholes.includes(place)) return
    table.members.forEach(waitFor)
    table.wholes.forEach(waitFor)
    if (reads) return
    if (this.#topology.has(name)) this.#tables.get(PATHS)?.members.forEach(waitFor)
    for (const later of [...table.members, ...table.wholes]) holdBack(later, place)
    insert(table.wholes, place)
    place.wholeOf.push(table)
  }

  /** Resolves when every call made before the transaction has ended. */
  async earlierEnded(place: Place): Promise<void> {
    for (;;) {
      const earlier: Place[] = []
      for (const { members, wholes } of this.#tables.values()) {
        for (const each of [...members, ...wholes]) if (each.order < place.order) earlier.push(each)
      }
      if (earlier.length === 0) return
      await Promise.all(earlier.map(ended))
    }
  }

  /** Takes a call out of the lane. Later calls of the lane that must wait for the call run no more: the lane has not sent them. */
  leaveLane(place: Place): void {
    place.kind = 'call'
    const later = new Set<Place>()
    for (const row of place.rows) {
      row.table.outsideLane.add(place)
      remove(row.lane, place)
      insert(row.others, place)
      for (const each of row.lane) later.add(each)
      if (tableOf(row.name) !== PATHS) continue
      for (const name of this.#topology) for (const each of this.#tables.get(name)?.members ?? []) later.add(each)
    }
    for (const each of later) {
      if (each.order < place.order || each.done || each.kind !== 'lane') continue
      each.running = false
      each.blockers++
      place.untilEnd.push(each)
    }
  }

  /** Notes that the call, and so the later ones of its rows, wait for another session's lock. Returns since when the call does. */
  waitsForLock(place: Place, since = performance.now()): number {
    for (const { lane, others } of place.rows) {
      for (const later of [...lane, ...others])
        if (later.order > place.order && later.kind !== 'transaction') later.lockedSince ??= since
    }
    place.lockedSince ??= since
    return place.lockedSince
  }

  /** Call it when the call has ended, with or without success. */
  finish(place: Place): void {
    if (place.done) return
    place.done = true
    for (const row of place.rows) {
      remove(place.kind === 'lane' ? row.lane : row.others, place)
      row.readers.delete(place)
      row.table.members.delete(place)
      row.table.outsideLane.delete(place)
      if (row.lane.length === 0 && row.others.length === 0) this.#rows.delete(row.name)
    }
    for (const table of place.wholeOf) remove(table.wholes, place)
    const { untilEnd } = place
    place.untilEnd = []
    for (const waiter of untilEnd) {
      if (typeof waiter === 'function') waiter()
      else unblock(waiter)
    }
    if (place.untilReady.length > 0) tellReady(place)
  }

  /** Earlier calls on cached paths, which a topology change must wait for. The lane itself runs paths first. */
  *#earlierPaths({ name }: Row, { kind, order }: Place): Generator<Place> {
    const paths = this.#tables.get(PATHS)
    if (paths === undefined || paths.members.size === 0 || !this.#topology.has(tableOf(name))) return
    for (const path of kind === 'lane' ? paths.outsideLane : paths.members) if (path.order < order) yield path
  }

  #join(place: Place, table: Table): void {
    table.members.add(place)
    if (place.kind !== 'lane' || place.blockers > 0) table.outsideLane.add(place)
  }

  #row(name: string): Row {
    let row = this.#rows.get(name)
    if (row === undefined) {
      row = new Row(name, this.#table(tableOf(name)))
      this.#rows.set(name, row)
    }
    return row
  }

  #table(name: string): Table {
    let table = this.#tables.get(name)
    if (table === undefined) {
      table = new Table()
      this.#tables.set(name, table)
    }
    return table
  }
}

const ended = (place: Place): Promise<void> => new Promise((resolve) => place.untilEnd.push(resolve))

/** Makes a later call wait for the transaction, unless the call already runs. */
function holdBack(later: Place, transaction: Place): void {
  if (later.order < transaction.order || later.running || later.kind === 'transaction' || later.done) return
  later.blockers++
  transaction.untilEnd.push(later)
}

function unblock(place: Place): void {
  if (--place.blockers > 0 || place.done) return
  place.waiter?.ready()
  tellReady(place)
}

function tellReady(place: Place): void {
  const { untilReady } = place
  place.untilReady = []
  for (const each of untilReady) unblock(each)
}

function insert(places: Place[], place: Place): void {
  const at = places.findIndex(({ order }) => order > place.order)
  if (at < 0) places.push(place)
  else places.splice(at, 0, place)
}

function remove(places: Place[], place: Place): void {
  if (places[0] === place) places.shift()
  else {
    const at = places.indexOf(place)
    if (at >= 0) places.splice(at, 1)
  }
}
