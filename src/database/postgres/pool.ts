import { Socket } from 'node:net'
import pg from 'pg'
import { asStandby, isStandby, placed, sqlstateOf } from './errors.ts'
import { noting } from './host-question.ts'
import { Hosts } from './hosts.ts'
import { PatientPool } from './patient-pool.ts'
import type { PostgresTarget } from './url.ts'

export type PoolMode = 'session' | 'transaction'

export interface PoolOptions {
  readonly max: number
  readonly mode: PoolMode
  readonly readOnly: boolean
  readonly durability: 'full' | 'normal'
  /** The server's time limit for a statement, in milliseconds. */
  readonly statementMs: number
  /** How long a single statement waits for a lock, in milliseconds. 0 would mean no limit. */
  readonly lockMs: number
  /** How long a server that was lost is waited for, in milliseconds. 0, the default: not at all. */
  readonly failoverMs?: number
}

/** The driver waits longer than the server, which reports its time limit. After the driver's limit the outcome is unknown. */
const DRIVER_WAITS_LONGER_MS = 1_000
/**
 * A transaction of a lost process must not hold its locks forever. Between statements a transaction is idle for at most its time
 * limit.
 */
const IDLE_IN_TRANSACTION_MS = 60_000
const LONGEST_SETTING_MS = 2_147_483_647
/** Full precision of times, whatever the role's settings are. */
const FULL_TIMES = 'extra_float_digits=1'

/**
 * Suffix of the application's name in a session that only reads, such as a backup or an export. `earlierWritersEnded` does not wait
 * for sessions with this suffix.
 */
export const ONLY_READS = ' (only reads)'

/** Reads pages in the order of an index: sorting all matches for each page would make an iteration quadratic. */
const IN_ORDER = 'enable_sort=off'

/**
 * Before version 18 a step that is off and cannot be avoided counts as so expensive that the server compiles the plan: 0.4 s for a
 * statement that takes 0.2 ms.
 */
const NOT_COMPILED = 'jit=off'

/** One of them says that a commit was not replicated. */
const WITH_WARNINGS = 'client_min_messages=warning'

/**
 * The settings of each session. All statements are SERIALIZABLE, as on SQLite, also single ones: under READ COMMITTED a caller could
 * see an order of events that SQLite cannot produce.
 */
const sessionSettings = ({ readOnly, durability, statementMs, lockMs }: PoolOptions): readonly string[] => [
  'default_transaction_isolation=serializable',
  `statement_timeout=${statementMs}`,
  `lock_timeout=${lockMs}`,
  `idle_in_transaction_session_timeout=${IDLE_IN_TRANSACTION_MS}`,
  FULL_TIMES,
  IN_ORDER,
  NOT_COMPILED,
  WITH_WARNINGS,
  ...(readOnly ? ['default_transaction_read_only=on'] : []),
  ...(durability === 'normal' ? ['synchronous_commit=off'] : []),
]

export function openPool(target: PostgresTarget, options: PoolOptions): pg.Pool {
  const { host, port, user, password, database, ssl, hosts, applicationName } = target
  const config: pg.PoolConfig & pg.ClientConfig = {
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
    // Without pipelining, the savepoint before a write would cost a round trip.
    pipeline: true,
    // An open store does not keep a process running, as on SQLite.
    allowExitOnIdle: true,
    types: { getTypeParser: (oid) => PARSERS[oid] ?? asText },
    // A proxy that pools transactions refuses session settings: there each transaction sets its own.
    ...(options.mode === 'session' && {
      options: sessionSettings(options)
        .map((each) => `-c ${each}`)
        .join(' '),
    }),
  }
  const isPlain = hosts.length === 1 && !options.failoverMs
  const pool = isPlain ? new pg.Pool(config) : patientPool(config, target, options)
  if (options.mode === 'session') withSession.add(pool)
  // Without a listener, the end of an idle connection would end the process.
  pool.on('error', () => {})
  pool.on('connect', (client) => {
    const place = places.get(pool)
    if (place !== undefined) places.set(client, place)
    client.on('notice', ({ routine }: { routine?: string | undefined }) => {
      if (routine === WAITS_FOR_STANDBY) notReplicated.add(client)
    })
    // The error answers no statement.
    client.on('error', (error) => {
      if (sqlstateOf(error) !== undefined) ends.set(client, error)
    })
  })
  return pool
}

/** Before its first connection it waits for a primary as for any connection. */
function patientPool(
  config: pg.PoolConfig & pg.ClientConfig,
  { hosts, connectMs }: PostgresTarget,
  { mode, failoverMs = 0 }: PoolOptions,
): pg.Pool {
  const openingMs = hosts.length > 1 ? connectMs : 0
  const isProxied = mode === 'transaction'
  const found = new Hosts(hosts, config, { isProxied, onLost: () => pool.lost() })
  const pool: PatientPool = new PatientPool(config, found, { openingMs, failoverMs, isProxied })
  pool.on('connect', (client) => hostsOf.set(client, found))
  return pool
}

/** The server's routine that waits for standbys, and warns of a wait that was cancelled. */
const WAITS_FOR_STANDBY = 'SyncRepWaitForLSN'
const notReplicated = new WeakSet<object>()
/** Whether the server stopped waiting for its standbys during the client's last COMMIT. */
export const isUnreplicated = (client: pg.PoolClient): boolean => notReplicated.delete(client)

const hostsOf = new WeakMap<object, Hosts>()
const withSession = new WeakSet<pg.Pool>()
/** Whether a connection of the pool is one session of the server: locks and settings of a session last. */
export const hasSession = (pool: pg.Pool): boolean => withSession.has(pool)

const places = new WeakMap<object, string>()
const ends = new WeakMap<object, Error>()

/**
 * Adds the server's address to a driver's error; prefers the server's own reason for ending the connection. A replica's refusal ends
 * all connections to it.
 */
export function located(failure: unknown, on: pg.Pool | pg.PoolClient): unknown {
  const reason = sqlstateOf(failure) === undefined ? (ends.get(on) ?? failure) : failure
  const hosts = hostsOf.get(on)
  if (hosts === undefined) return placed(reason, places.get(on))
  const client = on as pg.PoolClient & pg.Client
  const error = asStandby(reason, () => hosts.isKnownPrimary(client))
  if (isStandby(error)) hosts.evictServerOf(client)
  return placed(error, places.get(on))
}

/** Parsers of the types that our statements return. An application may change the driver's own global table. */
const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  16: (text) => text === 't',
  20: Number,
  23: Number,
  701: Number,
  3802: (text) => JSON.parse(text),
}
const asText = (text: string): string => text

/** The SQL that begins a transaction. */
export function beginning(
  options: PoolOptions & { lockTimeoutMs: number | undefined; timeoutMs?: number | undefined },
): string {
  const { mode, durability, readOnly, statementMs, lockMs, lockTimeoutMs, timeoutMs = 0 } = options
  const idleMs = Math.min(timeoutMs + IDLE_IN_TRANSACTION_MS, LONGEST_SETTING_MS)
  return [
    `BEGIN ISOLATION LEVEL SERIALIZABLE${readOnly ? ' READ ONLY' : ''}`,
    ...(mode === 'transaction'
      ? [FULL_TIMES, IN_ORDER, NOT_COMPILED, `statement_timeout=${statementMs}`].map((each) => `SET LOCAL ${each}`)
      : []),
    ...(mode === 'transaction' || timeoutMs > IDLE_IN_TRANSACTION_MS / 2
      ? [`SET LOCAL idle_in_transaction_session_timeout=${idleMs}`]
      : []),
    ...(mode === 'transaction' || lockTimeoutMs !== undefined
      ? [`SET LOCAL lock_timeout=${lockTimeoutMs ?? lockMs}`]
      : []),
    ...(mode === 'transaction' && durability === 'normal' ? ['SET LOCAL synchronous_commit=off'] : []),
    // The first query takes the snapshot; BEGIN does not.
    ...(readOnly ? ['SELECT 1'] : []),
  ].join('; ')
}
