/** Why a peer is ahead, and what was tried. Without figures: they are measured. */
export interface Reason {
  /** How the titles begin of the tables that it is about. */
  readonly table: string
  readonly peers: readonly string[]
  readonly text: string
}

const REASONS: readonly Reason[] = [
  {
    table: 'SQLite: reads',
    peers: ['better-sqlite3', 'Drizzle, prepared', 'Python sqlite3', 'Kysely'],
    text: `Why: meshstore runs on better-sqlite3, which by hand is the limit. In a CPU profile of reads by id most of the time is the
driver's own query, and most of the rest JSON.parse. What meshstore adds is a promise, the check of the id, and a decoder
that refuses a row which breaks the rules (CORRUPT), where these peers return it as it is. Drizzle's prepared statements
and Python's calls are synchronous and check nothing. Tried: a decoder generated as code for each statement, and a
quicker reader of lists than JSON.parse; what was gained was within the noise, so the plain loop stayed.`,
  },
  {
    table: 'SQLite: reads',
    peers: ['TypeORM', 'Drizzle', 'Prisma'],
    text: 'A peer that builds its query on every call can only be ahead here by a disturbance: look at the spread.',
  },
  {
    table: 'SQLite: writes, one at a time',
    peers: ['better-sqlite3', 'Drizzle', 'Drizzle, prepared', 'Kysely', 'Python sqlite3', 'TypeORM', 'Prisma'],
    text: `Why: a write waits for the end of the event loop's turn, so that those which come together share a commit. A caller who
awaits each write pays for the turn, for BEGIN IMMEDIATE, and for a savepoint around what returns a row. All
sides' files have the library's triggers. Where a commit waits for the disk, that wait hides the rest.
Tried: to commit in a microtask. The difference was within the noise, and writes of one turn would no longer be together.`,
  },
  {
    table: 'SQLite: writes, 1,000 in flight, not durable',
    peers: ['better-sqlite3', 'Drizzle, prepared', 'Python sqlite3'],
    text: `Why: where a commit does not wait for the disk there is little to share, and what is left is the statement itself, and the
checks of its values. All sides' files have the library's triggers.`,
  },
  {
    table: 'SQLite: bulk load',
    peers: ['better-sqlite3', 'Drizzle, prepared', 'Kysely', 'Python sqlite3', 'Drizzle'],
    text: `Why: meshstore checks and copies every value before anything is written, and returns every row. It writes fifty rows with
one statement; those who insert row by row begin a statement for each. All sides' files have the library's triggers.`,
  },
  {
    table: 'SQLite: iterating',
    peers: ['better-sqlite3', 'Kysely', 'Python sqlite3', 'Drizzle', 'Drizzle, prepared', 'TypeORM', 'Prisma'],
    text: `Why: better-sqlite3, Kysely and Python keep one cursor open, and with it a snapshot that no checkpoint can pass. Meshstore
reads pages by key, so that a slow consumer holds nothing up, and looks at every row for what breaks the rules. Python's
memory is its process's highest mark, to which rows that are freed at once add nothing.`,
  },
  {
    table: 'SQLite: start',
    peers: ['better-sqlite3', 'Python sqlite3'],
    text: `Why: they import a driver and nothing else. Meshstore reads its migration ledger and opens a reader beside the writer. It is
bundled, with what only writes need left for the first write; importing Drizzle as it is published is what takes Drizzle's time.`,
  },
  {
    table: 'Cache: 1 KB bundles',
    peers: ['lru-cache'],
    text: `Why: lru-cache hands out the object that it was given: nothing is parsed, nothing survives the process, and no other process
sees or invalidates it. To keep parsed bundles in memory as well was considered: each hit would still have to ask the
database whether another process has invalidated it, which is most of what a hit takes.`,
  },
  {
    table: 'Cache: 1 KB bundles',
    peers: ['Redis', 'meshstore, not durable'],
    text: `Why: they acknowledge before anything is on disk. Beside Redis as it comes, the column to look at is meshstore, not durable.
Redis changes its own memory; in a file there are two indexes to keep, and a log to write.`,
  },
  {
    table: 'Cache: 1 KB bundles',
    peers: ['Keyv on SQLite', 'Redis, fsync always'],
    text: `Why: they keep a text under a key. Meshstore's row is in two indexes, by expiry and by its ends, and storing it compares it
with what was invalidated meanwhile.`,
  },
  {
    table: 'PostgreSQL: one at a time',
    peers: ['pg', 'postgres', 'Kysely', 'Drizzle'],
    text: `Why: the statements of meshstore are SERIALIZABLE, as they are on SQLite, and the server keeps track of what each has read.
All sides' tables have the library's triggers.`,
  },
  {
    table: 'PostgreSQL: 1,000 in flight',
    peers: ['postgres'],
    text: `Why, of reads: postgres sends many statements down a connection before the first is answered; \`pg\`, on which meshstore runs,
waits for each. What \`pg\` is given ahead of its answer would share its fate when the connection is lost, and could not be
said to have happened or not.`,
  },
  {
    table: 'PostgreSQL: 1,000 in flight',
    peers: ['pg', 'postgres', 'Drizzle', 'Kysely'],
    text: `Why, of updates: under SERIALIZABLE the server refuses some of the transactions that change entries of one index page at the
same time, and meshstore runs them again; under READ COMMITTED, as the peers are, nothing is refused. Tried: with
\`invalidation: 'manual'\` it is the same, so the triggers are not the cause; an update that leaves the indexed \`started\`
alone is several times faster. Inserts are gathered into one statement and do not have this.`,
  },
  {
    table: 'SQLite: processes that write',
    peers: ['better-sqlite3'],
    text: `Why: a process that commits again at once keeps the lock to itself, which makes for many writes a second and for long waits of
the others. Meshstore leaves the lock alone for a moment after it has had it for a while, and waits in short steps with
the event loop free. Alone on a file, it pays for what a single write takes (above).`,
  },
]

/** The reasons why these peers are ahead in a table. */
export const reasonsFor = (title: string, ahead: readonly string[]): string[] =>
  REASONS.filter(({ table, peers }) => title.startsWith(table) && peers.some((peer) => ahead.includes(peer))).map(
    ({ text }) => text,
  )
