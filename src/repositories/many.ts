/** Rows by many keys, in pieces where a read keeps the event loop waiting. */
import type { Call, Part, Session } from '../database/session.ts'
import { EventLoopYield, nextTurn } from '../event-loop.ts'
import { MOST_PASSED, PAGE_MS } from './pages.ts'

interface Asked<Row> {
  readonly keys: readonly string[]
  readonly keyOf: (row: Row) => string
  /** See `Listing`. */
  readonly isLarge?: boolean
}

/** The rows that exist, by their keys, as of one moment. */
export async function readMany<P, Row>(
  on: Session,
  callOf: (keys: readonly string[]) => Call<P, Row>,
  { keys, keyOf, isLarge = false }: Asked<Row>,
): Promise<Map<string, Row>> {
  const found = new Map<string, Row>()
  const read = async (from: Session, some: readonly string[]): Promise<boolean> => {
    const { rows, isCut } = await readPart(from, callOf(some), isLarge)
    for (const row of rows) found.set(keyOf(row), row)
    return isCut
  }
  const { snapshot } = on
  const isShort = snapshot === undefined || (keys.length <= MOST_PASSED && !(on.inTransaction && isLarge))
  if (isShort && !(await read(on, keys))) return found
  if (isShort) await nextTurn()
  found.clear()
  const readAll = async (moment: Session): Promise<void> => {
    const yielding = new EventLoopYield(PAGE_MS)
    for (let from = 0; from < keys.length; ) {
      const missing = keys.slice(from, from + MOST_PASSED).filter((key) => !found.has(key))
      const isCut = await read(moment, missing)
      if (!isCut) from += MOST_PASSED
      if (isCut || yielding.isDue()) await yielding.now()
    }
  }
  await (snapshot === undefined ? readAll(on) : snapshot(readAll))
  return found
}

async function readPart<P, Row>(
  on: Session,
  { statement, parameters }: Call<P, Row>,
  isLarge: boolean,
): Promise<Part<Row>> {
  if (isLarge && on.readPart !== undefined) return on.readPart(statement, parameters)
  return { rows: await on.read(statement, parameters), isCut: false }
}
