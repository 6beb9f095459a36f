/** Where a consumer is in the change log of a PostgreSQL server, as a text. */

/**
 * It has read what the snapshot `seen` shows, and of what `upTo` shows beyond that, the rows up to `seq`. Between two snapshots
 * everything is, exactly once: neither the rows' numbers nor the transactions' ids are given in the order of the commits.
 *
 * Another server may give the same ids again, after a fail-over that lost something. So a place is told by a beat, too. A beat is a
 * row that was committed after its snapshot was taken: where it is, everything is that the snapshot shows. `digest` is the sum of
 * the nonces of what was read and the beat does not show.
 */
export interface Place {
  readonly seen: string
  readonly upTo?: string | undefined
  readonly seq: number
  readonly beat: string
  readonly digest: bigint
}

const POSITION = /^(\d+:\d+:[\d,]*)\/(\d+:\d+:[\d,]*|)\/(\d+)\/([0-9a-f-]{36})\/(\d+)$/

/** `undefined`: it is of SQLite, or of an earlier version. */
export function placeOf(position: string): Place | undefined {
  const [, seen, upTo, seq, beat, digest] = POSITION.exec(position) ?? []
  if (seen === undefined || beat === undefined || digest === undefined) return undefined
  return { seen, upTo: upTo === '' ? undefined : upTo, seq: Number(seq), beat, digest: BigInt(digest) }
}

/** The snapshot comes first, and is found there by the log's own statements. */
export const positionOf = ({ seen, upTo = '', seq, beat, digest }: Place): string =>
  [seen, upTo, seq, beat, digest].join('/')

/** Whether the snapshot shows everything that the other one does. */
export function covers(snapshot: string, other: string): boolean {
  const [, end = '', open = ''] = snapshot.split(':')
  const [, otherEnd = '', otherOpen = ''] = other.split(':')
  if (BigInt(otherEnd) > BigInt(end)) return false
  const alsoOpen = new Set(otherOpen.split(','))
  return open.split(',').every((id) => id === '' || BigInt(id) >= BigInt(otherEnd) || alsoOpen.has(id))
}
