/** A consumer's position in the change log of PostgreSQL, as a text. */

/**
 * The consumer has read the changes that the snapshot `seen` shows, and those up to `seq` of the changes that `upTo` shows in
 * addition. Positions are snapshots because neither numbers nor transaction ids follow the order of the commits.
 *
 * After a fail-over that lost commits, the server may give the same ids again. A beat detects this: it is a row that was committed
 * after its snapshot was taken, so a server that has the beat has everything that the snapshot shows. `digest` is the sum of the
 * nonces of the changes that were read after the beat.
 */
export interface ParsedPosition {
  readonly seen: string
  readonly upTo?: string | undefined
  readonly seq: number
  readonly beat: string
  readonly digest: bigint
}

const POSITION = /^(\d+:\d+:[\d,]*)\/(\d+:\d+:[\d,]*|)\/(\d+)\/([0-9a-f-]{36})\/(\d+)$/

/** `undefined` for a position of SQLite or of an earlier version. */
export function parsePosition(position: string): ParsedPosition | undefined {
  const [, seen, upTo, seq, beat, digest] = POSITION.exec(position) ?? []
  if (seen === undefined || beat === undefined || digest === undefined) return undefined
  return { seen, upTo: upTo === '' ? undefined : upTo, seq: Number(seq), beat, digest: BigInt(digest) }
}

/** The snapshot comes first: the log's statements read it from there. */
export const formatPosition = ({ seen, upTo = '', seq, beat, digest }: ParsedPosition): string =>
  [seen, upTo, seq, beat, digest].join('/')

/** Whether the snapshot shows everything that the other one shows. */
export function covers(snapshot: string, other: string): boolean {
  const [, end = '', open = ''] = snapshot.split(':')
  const [, otherEnd = '', otherOpen = ''] = other.split(':')
  if (BigInt(otherEnd) > BigInt(end)) return false
  const alsoOpen = new Set(otherOpen.split(','))
  return open.split(',').every((id) => id === '' || BigInt(id) >= BigInt(otherEnd) || alsoOpen.has(id))
}
