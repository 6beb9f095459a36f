/** Why a peer is ahead, and what was tried. Without figures: they are measured. */
export interface Reason {
  /** How the titles begin of the tables that it is about. */
  readonly table: string
  readonly peers: readonly string[]
  readonly text: string
}

const REASONS: readonly Reason[] = []

/** What is to be said of those who are ahead in a table. */
export const reasonsFor = (title: string, ahead: readonly string[]): string[] =>
  REASONS.filter(({ table, peers }) => title.startsWith(table) && peers.some((peer) => ahead.includes(peer))).map(
    ({ text }) => text,
  )
