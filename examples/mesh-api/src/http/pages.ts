/** Pages by key: a page begins behind the last key of the one before it, so that none is skipped or repeated meanwhile. */
import { Type } from 'typebox'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1_000

export const pageQuery = {
  limit: Type.Integer({ minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT }),
  after: Type.Optional(Type.String({ description: 'The last id that was seen' })),
}

export interface Page<T> {
  readonly items: T[]
  /** The URL of the next page, relative to this one's host. */
  readonly next: string | null
}

/** Asks for one row more than the page holds: whether there is a next page is then known. */
export async function pageOf<Row, T>(
  url: string,
  limit: number,
  list: (limit: number) => Promise<Row[]>,
  { id, json }: { readonly id: (row: Row) => string; readonly json: (row: Row) => T },
): Promise<Page<T>> {
  const rows = await list(limit + 1)
  const last = rows[limit - 1]
  return {
    items: rows.slice(0, limit).map(json),
    next: rows.length > limit && last !== undefined ? linkTo(url, limit, id(last)) : null,
  }
}

/** The same question, from there on. */
function linkTo(url: string, limit: number, after: string): string {
  const { pathname, searchParams } = new URL(url, 'http://localhost')
  searchParams.set('limit', String(limit))
  searchParams.set('after', after)
  return `${pathname}?${searchParams}`
}
