/** Translates PostgreSQL's SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
import { isError, misuse, propertyOf, StorageError } from '../../errors.ts'
import { OUR_TABLES } from '../../schema/tables.ts'
import type { RetryEvent } from '../../tracing.ts'
import { BY_CONSTRAINT, BY_POLICY, MEANINGS, UNKNOWN } from './error-meanings.ts'
import { mistakeOf } from './own-statements.ts'

/** Serialization failure, deadlock, lock timeout: a retry from the beginning may succeed at once. */
const CONFLICTS: ReadonlySet<string> = new Set(['40001', '40P01', '55P03'])
/** A table changed under a prepared statement: it must be prepared anew. */
const STALE_STATEMENT = '0A000'
/**
 * Indeterminate commit: the server or the connection may have failed after the commit and before the answer. Distributed servers
 * report it as 40003.
 */
const MAY_BE_COMMITTED = /^(57P02|40003|08)/

const SQLSTATE = /^[0-9A-Z]{5}$/
const CERTIFICATE = /CERT|SELF_SIGNED|LEAF_SIGNATURE|TLS/

const codeOf = (error: unknown): string | undefined =>
  isError(error) && 'code' in error && typeof error.code === 'string' ? error.code : undefined

/** The server's SQLSTATE, also of a translated error; `undefined` if the connection failed. */
export function sqlstateOf(error: unknown): string | undefined {
  if (error instanceof StorageError) return sqlstateOf(error.cause)
  // The driver's DatabaseError has `severity`; Node's own codes (EPIPE) may look like a SQLSTATE.
  if (!isError(error) || !('severity' in error)) return undefined
  const code = codeOf(error)
  return code !== undefined && SQLSTATE.test(code) ? code : undefined
}

const REASONS: ReadonlyMap<string, RetryEvent['reason']> = new Map([
  ['40001', 'serialization_failure'],
  ['40P01', 'deadlock_detected'],
  ['55P03', 'lock_not_available'],
  ['0A000', 'stale_statement'],
])
/** Why what failed with `error` runs again. */
export const reasonOf = (error: unknown): RetryEvent['reason'] =>
  error instanceof StorageError && overtaken.has(error)
    ? 'overtaken'
    : (REASONS.get(sqlstateOf(error) ?? '') ?? 'connection_lost')

export const isConflict = (error: unknown): boolean => CONFLICTS.has(sqlstateOf(error) ?? '')
export const isLockTimeout = (error: unknown): boolean => sqlstateOf(error) === '55P03'
export const isDeadlock = (error: unknown): boolean => sqlstateOf(error) === '40P01'
/** The server cancelled a statement that took too long. */
export const isStatementTimeout = (error: unknown): boolean => sqlstateOf(error) === '57014'
/**
 * Translates a cancellation that came before the time limit. If a lock is granted at the moment when `lock_timeout` fires, the
 * server reports a user's cancellation instead of a lock timeout.
 */
export function asLockTimeout(error: unknown): unknown {
  return sqlstateOf(error) === '57014' ? Object.assign(error as Error, { code: '55P03' }) : error
}

/**
 * Translates an error on an established connection. A proxy uses one SQLSTATE for refused settings and for a lost server; settings
 * are refused earlier, so here the server is lost (PgBouncer: "server conn crashed?").
 */
export function asLost(error: unknown): unknown {
  return sqlstateOf(error) === '08P01' ? Object.assign(error as Error, { code: '08006' }) : error
}

const overtaken = new WeakSet<object>()
/** The transaction needs a row that an earlier call of the same store still changes: its snapshot is too old. */
export function overtakenError(): StorageError {
  const message =
    'A row that an earlier call still works on was first named inside the transaction. Nothing was written. Try again.'
  const error = new StorageError('BUSY', message)
  overtaken.add(error)
  return error
}

/** Whether a retry of the transaction may succeed. */
export const mayRunAgain = (error: unknown): boolean =>
  isConflict(error) || isStaleStatement(error) || (error instanceof StorageError && overtaken.has(error))
export const isBusy = (error: unknown): boolean => error instanceof StorageError && error.code === 'BUSY'
export const isStaleStatement = (error: unknown): boolean => sqlstateOf(error) === STALE_STATEMENT

/**
 * Translates a replica's refusal: the server is no primary any more, or not yet. A replica refuses writes, and SERIALIZABLE also
 * while it is promoted.
 */
export function asStandby(error: unknown, isKnownPrimary: () => boolean): unknown {
  const sqlstate = sqlstateOf(error)
  const takesNoSnapshot =
    sqlstate === STALE_STATEMENT && isError(error) && 'routine' in error && error.routine === TAKES_SNAPSHOT
  const isReplica = takesNoSnapshot || (sqlstate === '25006' && !isKnownPrimary())
  return isReplica ? Object.assign(error as Error, { code: '57P03' }) : error
}
const TAKES_SNAPSHOT = 'GetSerializableTransactionSnapshot'
export const isStandby = (error: unknown): boolean => sqlstateOf(error) === '57P03'

/** Whether the server was lost before it committed anything. A lost answer to a COMMIT is another matter. */
export function isServerLost(error: unknown): boolean {
  const lost = translated(error)
  if (!(lost instanceof StorageError) || lost.code !== 'UNAVAILABLE') return false
  const sqlstate = sqlstateOf(lost)
  return sqlstate === undefined || (/^(57P|08)/.test(sqlstate) && !isRaised(lost))
}

export const isUnknown = (error: unknown): boolean => error instanceof StorageError && error.code === 'OUTCOME_UNKNOWN'
/** The error of a commit that did not take place, after all. */
export function undone(error: unknown): unknown {
  const cause = error instanceof StorageError ? error.cause : error
  return cause instanceof Error ? connectionError(cause) : error
}

/** Whether another attempt to connect would fail in the same way: the settings are wrong. */
export function isFinal(error: unknown): boolean {
  const failure = translated(error)
  return !(failure instanceof StorageError) || failure.code !== 'UNAVAILABLE'
}

/**
 * The server stopped waiting for its standbys: the commit is there, and a failover may lose it. 08007: the outcome of a transaction
 * is unknown.
 */
export const unreplicated = (): Error =>
  Object.assign(new Error('The commit was not replicated.'), { code: '08007', severity: 'WARNING' })

/** Whether the connection cannot be used again. */
export function isConnectionLost(error: unknown): boolean {
  // The library's own errors do not concern the connection.
  if (error instanceof StorageError && error.cause === undefined) return false
  const sqlstate = sqlstateOf(error)
  return sqlstate === undefined || /^25P0[34]$/.test(sqlstate) || (/^(57P|08)/.test(sqlstate) && !isRaised(error))
}

/**
 * Whether a function in the database raised the error: a trigger that reaches another server fails with the SQLSTATEs of a lost
 * connection. The server's own end of a connection is FATAL.
 */
function isRaised(error: unknown): boolean {
  if (error instanceof StorageError) return isRaised(error.cause)
  return isError(error) && 'isRaised' in error ? error.isRaised === true : isInFunction(error)
}

const isInFunction = (error: unknown): boolean =>
  isError(error) &&
  'severity' in error &&
  error.severity === 'ERROR' &&
  'where' in error &&
  typeof error.where === 'string' &&
  FUNCTION.test(error.where)

/** Whether the error ends the whole transaction. */
export const endsTransaction = (error: unknown): boolean => mayRunAgain(error) || isConnectionLost(error)

/** Whether the server refused a statement, and the transaction can go on without it. */
export const isRefusal = (error: unknown): boolean => sqlstateOf(error) !== undefined && !endsTransaction(error)

/** Translates an error of a driver's call into a StorageError. */
export function translated(error: unknown): unknown {
  if (error instanceof StorageError || !isError(error)) return error
  const sqlstate = sqlstateOf(error)
  // A bug in the library, for example in a decoder, does not concern the connection.
  if (error instanceof TypeError || error instanceof RangeError) return error
  if (sqlstate === undefined) return connectionError(error)
  const mistake = isInFunction(error) ? undefined : mistakeOf(error, sqlstate)
  if (mistake !== undefined) return misuse(mistake, cleaned(error))
  const [, { code, message }] = meaningOf(error, sqlstate)
  const isOfServer = code === 'UNAVAILABLE' && !isRaised(error)
  const where = (isOfServer ? undefined : refusedBy(error)) ?? placeOf(error)
  return new StorageError(code, `${message} (${[sqlstate, where].filter(Boolean).join('; ')})`, {
    cause: cleaned(error),
  })
}

function meaningOf(error: Error, sqlstate: string): (typeof MEANINGS)[number] {
  if (isOfPolicy(error)) return BY_POLICY
  if (isOfOwnTable(error, sqlstate)) return BY_CONSTRAINT
  return MEANINGS.find(([prefix]) => sqlstate.startsWith(prefix)) ?? UNKNOWN
}

/** Whether a CHECK or a NOT NULL of a table that is not the library's refused the row. */
function isOfOwnTable(error: Error, sqlstate: string): boolean {
  const table = propertyOf(error, 'table')
  return (sqlstate === '23514' || sqlstate === '23502') && isName(table) && !OUR_TABLES.includes(table)
}

const places = new WeakMap<Error, string>()

/** Adds the address and the port to the error, as they were tried, and returns it. They are never parts of a URL. */
export function placed(error: unknown, place: string | undefined): unknown {
  if (isError(error) && place !== undefined) places.set(error, place)
  return error
}

/** The server's address and port in an error, translated or not. */
export const placeOf = (error: unknown): string | undefined =>
  isError(error) ? (places.get(error) ?? placeOf(error.cause)) : undefined

/** A missing right and a row security policy have one SQLSTATE. The reporting function in the server differs. */
const isOfPolicy = (error: Error): boolean => 'routine' in error && error.routine === 'ExecWithCheckOptions'

/** The name of the constraint, the column, the policy or the trigger's function. Names contain no values. */
function refusedBy(error: Error): string | undefined {
  const [constraint, table, column, where] = ['constraint', 'table', 'column', 'where'].map((of) =>
    propertyOf(error, of),
  )
  if (isName(constraint)) return `constraint ${constraint}${isName(table) ? ` of ${table}` : ''}`
  if (isOfPolicy(error)) return POLICY.exec(error.message)?.slice(1).join(' ')
  const context = typeof where === 'string' ? where : ''
  const [, name] = FUNCTION.exec(context) ?? []
  if (name !== undefined) return `trigger function ${name}`
  if (isName(column)) return `column ${column}`
  const [, locked] = LOCKED.exec(context) ?? []
  if (locked !== undefined) return `table ${locked}`
  return sqlstateOf(error) === '42501' ? DENIED.exec(error.message)?.[1] : undefined
}
/** The server names what the role has no right to in its message alone. */
const DENIED = /^permission denied for (\w+ [\w$]+)$/
/** The server names a restrictive policy in its message alone. */
const POLICY = /(policy) "([^"]+)" for /
const isName = (value: unknown): value is string => typeof value === 'string' && /^[\w$]+$/.test(value)
/** Matches the innermost function in the server's context. */
const FUNCTION = /^PL\/pgSQL \S+ ([\w$.]+)\(/m
/** The table of the row that another transaction holds. */
const LOCKED = /^while (?:updating|deleting|locking) tuple \S+ in relation "([\w$]+)"$/m

/** Most keys that an error names. */
const MOST_NAMED = 3

/** The error of a refused call, with the keys of its rows. A lost connection is no refusal. */
export function refusalOf(error: unknown, table: string, keys: readonly string[]): unknown {
  if (!(error instanceof StorageError) || sqlstateOf(error) === undefined || isConnectionLost(error)) return error
  const named = keys.slice(0, MOST_NAMED).map((key) => JSON.stringify(key))
  const others = keys.length > MOST_NAMED ? ` and ${keys.length - MOST_NAMED} more` : ''
  return new StorageError(error.code, `${table} ${named.join(', ')}${others}: ${error.message}`, { cause: error.cause })
}

/** Translates an error of a write that may have been committed when the connection failed. */
export function translatedWrite(error: unknown): unknown {
  if (error instanceof StorageError || !isError(error)) return error
  const sqlstate = sqlstateOf(error)
  if (sqlstate !== undefined && (!MAY_BE_COMMITTED.test(sqlstate) || isRaised(error))) return translated(error)
  return unknownOutcome(error)
}

export function unknownOutcome(error: unknown): unknown {
  if (error instanceof StorageError || !isError(error)) return error
  const place = placeOf(error)
  const to = place === undefined ? '' : ` to ${place}`
  const message = `The connection${to} was lost before the answer: the write may or may not be there. Read before writing again.`
  return new StorageError('OUTCOME_UNKNOWN', message, { cause: cleaned(error) })
}

function connectionError(error: Error): StorageError {
  const code = codeOf(error)
  if (code !== undefined && CERTIFICATE.test(code)) {
    const message = `The server's certificate cannot be trusted (${code}). Nothing was sent. Name its authority with sslrootcert=FILE in the URL.`
    return new StorageError('CONFIG', message, { cause: cleaned(error) })
  }
  const suffix = code === undefined ? '' : ` (${code})`
  const place = placeOf(error)
  const message =
    place === undefined && code !== undefined && UNRESOLVED.has(code)
      ? 'The name of the host in the URL has no address. Nothing was sent. Correct the URL, or check the name server.'
      : `The server${place === undefined ? '' : ` at ${place}`} cannot be reached, or did not answer in time. Nothing was written. Check the server, then try again.`
  return new StorageError('UNAVAILABLE', message + suffix, { cause: cleaned(error) })
}

const UNRESOLVED: ReadonlySet<string> = new Set(['ENOTFOUND', 'EAI_AGAIN'])

/** Removes the server's messages and details, which may contain whole rows. */
function cleaned(error: Error): Error {
  const code = codeOf(error)
  const constraint =
    'constraint' in error && typeof error.constraint === 'string' ? { constraint: error.constraint } : {}
  const severity = 'severity' in error ? { severity: error.severity, isRaised: isRaised(error) } : {}
  const cause = Object.assign(new Error(code ?? error.name), { code, ...constraint, ...severity })
  placed(cause, placeOf(error))
  const frames = error.stack?.split('\n').filter((line) => line.startsWith('    at ')) ?? []
  cause.stack = [`Error: ${cause.message}`, ...frames].join('\n')
  return cause
}
