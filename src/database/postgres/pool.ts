import { isIP, Socket } from 'node:net'
import pg from 'pg'
import { placed, sqlstateOf } from './errors.ts'
import type { PostgresTarget } from './url.ts'

export type PoolMode = 'session' | 'transaction'

export interface PoolOptions {
  readonly max: number
  readonly mode: PoolMode
  readonly readOnly: boolean
  readonly durability: 'full' | 'normal'
  /** How long the server works on a statement, in milliseconds. */
  readonly statementMs: number
  /** How long a single statement waits for somebody else's lock, in milliseconds. 0 would be for ever. */
  readonly lockMs: number
}

/** The server gives up first, and then says so: after the driver's own limit nobody knows what became of the statement. */
const DRIVER_WAITS_LONGER_MS = 1_000
/**
 * A transaction whose process is gone without a word must not hold its locks for ever. It stands idle while its caller does
 * something else, for at most its time limit.
 */
const IDLE_IN_TRANSACTION_MS = 60_000
const LONGEST_SETTING_MS = 2_147_483_647
/** All bits of a time, whatever the role's settings say. */
const FULL_TIMES = 'extra_float_digits=1'

/**
 * Ends the name of a session of ours that only reads, for as long as that takes: a backup, an export. Of others' transactions nobody
 * knows whether they will write; for these nobody who has to know waits.
 */
export const ONLY_READS = ' (only reads)'

/** A page comes in the order of an index: to sort all matches for each page would make an iteration quadratic. */
const IN_ORDER = 'enable_sort=off'

/**
 * The settings of every session. Everything is SERIALIZABLE, single statements too, as it is on SQLite: with READ
 * COMMITTED beside it, orders of events can be seen that SQLite cannot produce.
 */
const sessionSettings = ({ readOnly, durability, statementMs, lockMs }: PoolOptions): readonly string[] => [
  'default_transaction_isolation=serializable',
  `statement_timeout=${statementMs}`,
  `lock_timeout=${lockMs}`,
  `idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_MS}`,
  FULL_TIMES,
  IN_ORDER,
  ...(readOnly ? ['default_transaction_read_only=on'] : []),
  ...(durability === 'normal' ? ['synchronous_commit=off'] : []),
]

export function openPool(target: PostgresTarget, options: PoolOptions): pg.Pool {
  const { host, port, user, password, database, ssl, applicationName } = target
  const pool = new pg.Pool({
    host,
    port,
    user,
    password,
    database,
    ssl,
    max: options.max,
    stream: () => noting(new Socket(), (place) => places.set(pool, place)),
    application_name: applicationName,
    connectionTimeoutMillis: target.connectMs,
    query_timeout: options.statementMs + DRIVER_WAITS_LONGER_MS,
    // Else the savepoint ahead of a write would cost a round trip. Where one thing waits for the other, as it does everywhere
    // else, it changes nothing.
    pipeline: true,
    // An open store alone keeps no process running, as on SQLite.
    allowExitOnIdle: true,
    types: { getTypeParser: (oid) => PARSERS[oid] ?? asText },
    // A proxy that pools transactions refuses settings at the start of a session: there each transaction has its own.
    ...(options.mode === 'session' && {
      options: sessionSettings(options)
        .map((each) => `-c ${each}`)
        .join(' '),
    }),
  })
  // Without a listener, the end of an idle connection ends the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    const place = places.get(pool)
    if (place !== undefined) places.set(client, place)
    // Without a statement that it could answer.
    client.on('error', (error) => {
      if (sqlstateOf(error) !== undefined) ends.set(client, error)
    })
  })
  return pool
}

const places = new WeakMap<object, string>()
const ends = new WeakMap<object, Error>()

/** Notes what is tried. What a URL names may be a password that stands in the wrong place; an address has been looked up. */
function noting(socket: Socket, note: (place: string) => void): Socket {
  return socket.on('connectionAttempt', (address: string, port: number) => {
    if (isIP(address) !== 0) note(`${isIP(address) === 6 ? `[${address}]` : address}:${port}`)
  })
}

/** What the driver threw, with where the server is; or what the server said when it ended the connection. */
export function located(error: unknown, on: pg.Pool | pg.PoolClient): unknown {
  return placed(sqlstateOf(error) === undefined ? (ends.get(on) ?? error) : error, places.get(on))
}

/** Text of the types that our statements return. Not the driver's own table: an application may change that one. */
const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === 't',
  20: Number,
  23: Number,
  701: Number,
  3802: (text) => JSON.parse(text),
}
const asText = (text: string): string => text

/** How a transaction begins. */
export function beginning(
  options: PoolOptions & { lockTimeoutMs: number | undefined; timeoutMs?: number | undefined },
): string {
  const { mode, durability, readOnly, statementMs, lockMs, lockTimeoutMs, timeoutMs = 0 } = options
  const idleMs = Math.min(timeoutMs + IDLE_IN_TRANSACTION_MS, LONGEST_SETTING_MS)
  return [
    `BEGIN ISOLATION LEVEL SERIALIZABLE${readOnly ? ' READ ONLY' : ''}`,
    ...(mode === 'transaction'
      ? [`SET LOCAL statement_timeout=${statementMs}`, `SET LOCAL ${FULL_TIMES}`, `SET LOCAL ${IN_ORDER}`]
      : []),
    ...(mode === 'transaction' || timeoutMs > IDLE_IN_TRANSACTION_MS / 2
      ? [`SET LOCAL idle_in_transaction_session_timeout=${idleMs}`]
      : []),
    ...(mode === 'transaction' || lockTimeoutMs !== undefined
      ? [`SET LOCAL lock_timeout=${lockTimeoutMs ?? lockMs}`]
      : []),
    ...(mode === 'transaction' && durability === 'normal' ? ['SET LOCAL synchronous_commit=off'] : []),
    // The first query chooses the moment that a snapshot shows; BEGIN does not.
    ...(readOnly ? ['SELECT 1'] : []),
  ].join('; ')
}
