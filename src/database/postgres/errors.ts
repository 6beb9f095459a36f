/** Translates PostgreSQL's SQLSTATEs (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
import { isError, StorageError, type StorageErrorCode } from '../../errors.ts'

interface Meaning {
  readonly code: StorageErrorCode
  readonly message: string
}

/** The library validates its values: a CHECK that refuses a write concerns a value already in the row. */
const BROKEN_ROW =
  'The row breaks the rules of the schema, because another program wrote it. Nothing was written. Correct or delete the row.'

const POOL_MODE = 'Open with pool: { mode: "transaction" }, or add pool_mode=transaction to the URL.'

const timeLimit = (setting: string): string =>
  `The server's ${setting} ended the transaction. Nothing was written. Shorten the transaction, or raise the setting.`

/** The first matching prefix of a SQLSTATE decides. */
const MEANINGS: readonly (readonly [prefix: string, Meaning])[] = [
  ['40001', { code: 'BUSY', message: 'The transaction conflicted with others and was rolled back. Try it again.' }],
  ['40P01', { code: 'BUSY', message: 'The transaction ran into a deadlock and was rolled back. Try it again.' }],
  ['55P03', { code: 'BUSY', message: 'Another transaction held a row for too long. Nothing was written. Try again.' }],
  [
    '23505',
    { code: 'ALREADY_EXISTS', message: 'The key exists already. Nothing was written. Use save() to replace the row.' },
  ],
  ['23514', { code: 'CORRUPT', message: BROKEN_ROW }],
  ['23502', { code: 'CORRUPT', message: BROKEN_ROW }],
  [
    '23',
    {
      code: 'CONFLICT',
      message:
        'A constraint in the database refused the write. Nothing was written. Change the value, or the constraint.',
    },
  ],
  // Raised by the triggers of a standby.
  [
    'MS001',
    {
      code: 'READ_ONLY',
      message: 'The database is a standby. Nothing was written. Write to the primary, or run meshstore promote.',
    },
  ],
  [
    'P0001',
    {
      code: 'CONFLICT',
      message: 'A trigger in the database refused the write. Nothing was written. Change the value, or the trigger.',
    },
  ],
  ['22', { code: 'VALIDATION', message: 'PostgreSQL cannot hold a value. Nothing was written. Correct the value.' }],
  [
    '54',
    {
      code: 'VALIDATION',
      message: 'A value is larger than PostgreSQL can hold there. Nothing was written. Store a smaller value.',
    },
  ],
  [
    '53100',
    {
      code: 'STORAGE_FULL',
      message: "The server's disk is full. Nothing was written. Make room there, then try again.",
    },
  ],
  [
    '53',
    {
      code: 'UNAVAILABLE',
      message: 'The server has no room for the connection. Nothing was written. Try again, or lower pool.max.',
    },
  ],
  [
    '57014',
    {
      code: 'TIMEOUT',
      message:
        'The server cancelled a statement that took too long. Nothing was written. Try again, or raise statement_timeout.',
    },
  ],
  ['57', { code: 'UNAVAILABLE', message: 'The server is shutting down or starting. Nothing was written. Try again.' }],
  ['08P01', { code: 'CONFIG', message: `A proxy refused the settings. Nothing was written. ${POOL_MODE}` }],
  [
    '08',
    {
      code: 'UNAVAILABLE',
      message: 'The connection to the server was lost. Nothing was written. Check the server, then try again.',
    },
  ],
  [
    '25006',
    {
      code: 'READ_ONLY',
      message:
        'The server, or the session, is read-only. Nothing was written. Connect to the primary, or unset default_transaction_read_only.',
    },
  ],
  ['25P03', { code: 'TIMEOUT', message: timeLimit('idle_in_transaction_session_timeout') }],
  ['25P04', { code: 'TIMEOUT', message: timeLimit('transaction_timeout') }],
  [
    '42501',
    {
      code: 'CONFIG',
      message: 'The role lacks a right. Nothing was written. Run drizzle/postgresql-grants.sql as the owner.',
    },
  ],
  [
    '42',
    {
      code: 'SCHEMA_MISMATCH',
      message:
        'The database does not have the tables that this version needs. Nothing was written. Run meshstore migrate status.',
    },
  ],
  [
    '28',
    { code: 'CONFIG', message: 'The server refused the user or the password. Nothing was written. Correct the URL.' },
  ],
  [
    '3D000',
    {
      code: 'CONFIG',
      message: 'There is no such database on the server. Nothing was written. Create it, or correct the URL.',
    },
  ],
  [
    '3F000',
    {
      code: 'CONFIG',
      message: 'No schema of the search_path exists. Nothing was written. Create it, or set another search_path.',
    },
  ],
  ['26000', { code: 'CONFIG', message: `A proxy swapped the connection. Nothing was written. ${POOL_MODE}` }],
  [
    '58',
    {
      code: 'UNAVAILABLE',
      message:
        "The server's system reported an error. Nothing was written. Check the log of the server, then try again.",
    },
  ],
  [
    'XX',
    {
      code: 'CORRUPT',
      message:
        'The server reports that its data is damaged. Nothing was written. Check the log of the server, then restore a backup.',
    },
  ],
]

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

export const isConflict = (error: unknown): boolean => CONFLICTS.has(sqlstateOf(error) ?? '')
export const isLockTimeout = (error: unknown): boolean => sqlstateOf(error) === '55P03'
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

/** Whether the connection cannot be used again. */
export function isConnectionLost(error: unknown): boolean {
  // The library's own errors do not concern the connection.
  if (error instanceof StorageError && error.cause === undefined) return false
  const sqlstate = sqlstateOf(error)
  return (
    sqlstate === undefined || sqlstate.startsWith('57P') || sqlstate.startsWith('08') || /^25P0[34]$/.test(sqlstate)
  )
}

/** Whether the error ends the whole transaction. */
export const endsTransaction = (error: unknown): boolean => mayRunAgain(error) || isConnectionLost(error)

/** Translates an error of a driver's call into a StorageError. */
export function translated(error: unknown): unknown {
  if (error instanceof StorageError || !isError(error)) return error
  const sqlstate = sqlstateOf(error)
  // A bug in the library, for example in a decoder, does not concern the connection.
  if (error instanceof TypeError || error instanceof RangeError) return error
  if (sqlstate === undefined) return connectionError(error)
  const [, { code, message }] = isOfPolicy(error)
    ? BY_POLICY
    : (MEANINGS.find(([prefix]) => sqlstate.startsWith(prefix)) ?? UNKNOWN)
  const where = code === 'UNAVAILABLE' ? placeOf(error) : (refusedBy(error) ?? placeOf(error))
  return new StorageError(code, `${message} (${[sqlstate, where].filter(Boolean).join('; ')})`, {
    cause: cleaned(error),
  })
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

/** A trigger may raise a SQLSTATE of its own. A retry would not help. */
const UNKNOWN: (typeof MEANINGS)[number] = [
  '',
  {
    code: 'CONFLICT',
    message: "The database refused the write. Nothing was written. Look the SQLSTATE up in PostgreSQL's documents.",
  },
]
const BY_POLICY: (typeof MEANINGS)[number] = [
  '42501',
  {
    code: 'CONFLICT',
    message:
      "A policy of the table's row-level security refused the row. Nothing was written. Change the policy, or the value.",
  },
]

/** A missing right and a row security policy have one SQLSTATE. The reporting function in the server differs. */
const isOfPolicy = (error: Error): boolean => 'routine' in error && error.routine === 'ExecWithCheckOptions'

/** The name of the constraint or of the trigger's function. Names contain no values. */
function refusedBy(error: Error): string | undefined {
  const { constraint, where } = error as Error & { readonly constraint?: unknown; readonly where?: unknown }
  if (typeof constraint === 'string' && NAME.test(constraint)) return `constraint ${constraint}`
  const [, name] = typeof where === 'string' ? (FUNCTION.exec(where) ?? []) : []
  return name && `trigger function ${name}`
}
const NAME = /^[\w$]+$/
/** Matches the innermost function in the server's context. */
const FUNCTION = /^PL\/pgSQL \S+ ([\w$.]+)\(/m

/** The error of one refused call, with its row's key. */
export function refusalOf(error: unknown, table: string, key: string): unknown {
  if (!(error instanceof StorageError) || sqlstateOf(error) === undefined) return error
  return new StorageError(error.code, `${table} ${JSON.stringify(key)}: ${error.message}`, { cause: error.cause })
}

/** Translates an error of a write that may have been committed when the connection failed. */
export function translatedWrite(error: unknown): unknown {
  if (error instanceof StorageError || !isError(error)) return error
  const sqlstate = sqlstateOf(error)
  if (sqlstate !== undefined && !MAY_BE_COMMITTED.test(sqlstate)) return translated(error)
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
  const severity = 'severity' in error ? { severity: error.severity } : {}
  const cause = Object.assign(new Error(code ?? error.name), { code, ...constraint, ...severity })
  placed(cause, placeOf(error))
  const frames = error.stack?.split('\n').filter((line) => line.startsWith('    at ')) ?? []
  cause.stack = [`Error: ${cause.message}`, ...frames].join('\n')
  return cause
}
