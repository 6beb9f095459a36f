/** Keyset pagination, in pieces where a read keeps the event loop waiting: pieces are bounded in rows, bytes and time. */
import type { Part, Session } from '../database/session.ts'
import { EventLoopYield, nextTurn, performance } from '../event-loop.ts'

/** Rows that `iterate` reads at once: more are no faster, and all of them are held at the same time. */
const MOST_ROWS = 100
/** A page of so many rows is read at once where no row is passed: about 3 ms. */
const MOST_AT_ONCE = 2_000
/** Rows that one statement may pass, whether or not they match. About 1 ms for a filter that SQLite evaluates row by row. */
export const MOST_PASSED = 500
/** A piece may keep the event loop for so long, and then one more: SQLite reads within the call. */
export const PAGE_MS = 4

/** Rows after the place `after`, up to and including `upTo`. In the order of the keys, a place is a key. */
export interface Range<Place = string> {
  readonly after?: Place | undefined
  readonly upTo?: Place | undefined
}

interface Matching<Place> {
  /** A statement may pass many rows that do not match. */
  readonly isSelective: boolean
  /** The place of the row that is `passed` rows further on, whether or not it matches; `undefined` if there are fewer. */
  readonly keyAhead: (on: Session, range: Range<Place> & { passed: number }) => Promise<Place | undefined>
  /** An index leads to few rows, and only those are read from then on. */
  readonly isFew?: (on: Session) => Promise<boolean>
}

/** The rows of a table that match, in the order of the places. */
export interface Listing<Row, Shown = Row, Place = string> extends Matching<Place> {
  readonly read: (on: Pick<Session, 'read'>, range: Range<Place> & { limit: number }) => Promise<Row[]>
  readonly keyOf: (row: Row) => Place
  /** The form in which the caller sees a row; `undefined` skips the row. */
  readonly shown?: (row: Row) => Shown | undefined
  /** Rows may be so large that a few of them keep the event loop: a piece ends after so many bytes. Small rows are read faster without. */
  readonly isLarge?: boolean
}

export interface Counting<Place = string> extends Matching<Place> {
  readonly count: (on: Session, range: Range<Place>) => Promise<number>
}

interface Page<Place> {
  readonly after?: Place | undefined
  readonly limit: number
}

/**
 * Reads one page of a consistent snapshot. If reads block the event loop, a page that reads or skips many rows is read in pieces.
 */
export function readPage<Row, Shown = Row, Place = string>(
  on: Session,
  listing: Listing<Row, Shown, Place>,
  page: Page<Place>,
): Promise<Shown[]> {
  const readsBlock = on.readPart !== undefined
  const isLong = readsBlock && (listing.isSelective || page.limit > MOST_AT_ONCE)
  const mayBeCut = isLong || (readsBlock && listing.isLarge === true)
  // Without `shown` a row is what the caller sees.
  if (!mayBeCut && listing.shown === undefined) return listing.read(on, page) as Promise<never[]>
  return readInSteps(on, listing, { ...page, isLong, mayBeCut })
}

/** Reads a piece of a page. Its bytes are limited if rows may be large, and reads block the event loop. */
async function readPiece<Row, Place>(
  on: Session,
  listing: Listing<Row, unknown, Place>,
  range: Range<Place> & { limit: number },
): Promise<Part<Row>> {
  const { readPart } = on
  if (readPart === undefined || !listing.isLarge) return { rows: await listing.read(on, range), isCut: false }
  let isCut = false
  const read: Session['read'] = async (statement, parameters) => {
    const part = await readPart(statement, parameters)
    isCut = part.isCut
    return part.rows
  }
  return { rows: await listing.read({ read }, range), isCut }
}

async function readInSteps<Row, Shown, Place>(
  on: Session,
  listing: Listing<Row, Shown, Place>,
  page: Page<Place> & { isLong: boolean; mayBeCut: boolean },
): Promise<Shown[]> {
  // In a transaction all of it takes its place in the order of calls at once.
  const isAtOnce = page.mayBeCut && on.inTransaction
  const rows = isAtOnce ? undefined : await readShort(on, listing, page)
  if (rows !== undefined) {
    const all = shownOf(listing, rows)
    // Otherwise rows were passed, and others take their place.
    if (all.length === rows.length || rows.length < page.limit) return all
  } else if (!isAtOnce) await nextTurn()
  return on.snapshot === undefined
    ? collect(on, listing, page)
    : on.snapshot((moment) => collect(moment, listing, page))
}

/** The page, if one statement that passes few rows and few bytes can read it. */
async function readShort<Row, Place>(
  on: Session,
  listing: Listing<Row, unknown, Place>,
  { after, limit, isLong }: Page<Place> & { isLong: boolean },
): Promise<Row[] | undefined> {
  const read = async (range: Range<Place> & { limit: number }): Promise<Row[] | undefined> => {
    const { rows, isCut } = await readPiece(on, listing, range)
    return isCut ? undefined : rows
  }
  if (!isLong) return read({ after, limit })
  if (!listing.isSelective) {
    const rows = await read({ after, limit: MOST_ROWS })
    return rows !== undefined && rows.length < MOST_ROWS ? rows : undefined
  }
  if (await listing.isFew?.(on)) return read({ after, limit })
  const upTo = await listing.keyAhead(on, { after, passed: MOST_PASSED })
  if (upTo === undefined) return read({ after, limit })
  if (limit > MOST_PASSED) return undefined
  const rows = await read({ after, upTo, limit })
  return rows?.length === limit ? rows : undefined
}

function shownOf<Row, Shown, Place>({ shown }: Listing<Row, Shown, Place>, rows: Row[]): Shown[] {
  return shown === undefined ? (rows as never[]) : rows.flatMap((row) => shown(row) ?? [])
}

/** A page in pieces. */
async function collect<Row, Shown, Place>(
  on: Session,
  listing: Listing<Row, Shown, Place>,
  { after, limit }: Page<Place>,
): Promise<Shown[]> {
  const all: Shown[] = []
  for await (const rows of pieces(on, listing, { after, most: Math.min(limit, MOST_PASSED) })) {
    for (const row of rows) if (all.push(row) === limit) return all
  }
  return all
}

/**
 * Iterates over all rows. No statement stays open between two pieces: an open one would pin the reader's snapshot and
 * keep the write-ahead log from being emptied. Places ascend, so that each comes at most once. An error of `prepare` rejects
 * the first `next()`.
 */
export async function* iterateRows<Row, Shown, Place = string>(
  on: Session,
  prepare: () => Listing<Row, Shown, Place>,
): AsyncGenerator<Shown, void, undefined> {
  for await (const rows of pieces(on, prepare(), { most: MOST_ROWS })) {
    // Each `yield*` would cost a row several turns of the microtask queue.
    for (const row of rows) yield row
  }
}

async function* pieces<Row, Shown, Place>(
  on: Session,
  listing: Listing<Row, Shown, Place>,
  { after, most }: { after?: Place | undefined; most: number },
): AsyncGenerator<Shown[], void, undefined> {
  const isBounded = listing.isSelective && on.readPart !== undefined && !(await listing.isFew?.(on))
  const yielding = new EventLoopYield(PAGE_MS)
  let upTo: Place | undefined
  for (let limit = most; ; ) {
    const busy = new Busy()
    if (isBounded && upTo === undefined) {
      upTo = await busy.during(() => listing.keyAhead(on, { after, passed: passedBy(limit, most) }))
    }
    const { rows, isCut } = await busy.during(() => readPiece(on, listing, { after, upTo, limit }))
    yield shownOf(listing, rows)
    const last = rows.at(-1)
    if (last !== undefined && (isCut || rows.length === limit)) after = listing.keyOf(last)
    else if (upTo === undefined) return
    else {
      after = upTo
      upTo = undefined
    }
    const share = PAGE_MS / busy.milliseconds
    if (share < 1 || limit < most) limit = Math.max(1, Math.min(Math.floor(limit * share), most))
    if (isCut || limit < most || yielding.isDue()) await yielding.now()
  }
}

/** Rows that a piece may skip: fewer if its rows are slow to read. */
const passedBy = (limit: number, most: number): number => Math.max(1, Math.round((MOST_PASSED * limit) / most))

/** Counts the rows that match, as of one moment; in pieces where a read keeps the event loop waiting. */
export async function countRows<Place = string>(on: Session, counting: Counting<Place>): Promise<number> {
  const { snapshot } = on
  if (snapshot === undefined || !counting.isSelective) return counting.count(on, {})
  const isFew = async (): Promise<boolean> =>
    (await counting.isFew?.(on)) === true || (await counting.keyAhead(on, { passed: MOST_PASSED })) === undefined
  const isShort = !on.inTransaction && (await isFew())
  if (isShort) return counting.count(on, {})
  return snapshot(async (moment) => {
    if (await counting.isFew?.(moment)) return counting.count(moment, {})
    const yielding = new EventLoopYield(PAGE_MS)
    let count = 0
    for (let after: Place | undefined; ; ) {
      const upTo = await counting.keyAhead(moment, { after, passed: MOST_PASSED })
      count += await counting.count(moment, { after, upTo })
      if (upTo === undefined) return count
      after = upTo
      if (yielding.isDue()) await yielding.now()
    }
  })
}

/** How long calls have kept the event loop: SQLite reads before it returns the promise. */
class Busy {
  milliseconds = 0

  during<T>(call: () => Promise<T>): Promise<T> {
    const begun = performance.now()
    const reading = call()
    this.milliseconds += performance.now() - begun
    return reading
  }
}
