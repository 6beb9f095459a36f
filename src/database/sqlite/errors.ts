/** Translates SQLite's result codes (https://sqlite.org/rescode.html). Never by message. */
import { isError, StorageError, type StorageErrorCode } from '../../errors.ts'
import { OUR_TABLES } from '../../schema/tables.ts'
import { STANDBY_MESSAGE } from './standby.ts'

interface Meaning {
  readonly code: StorageErrorCode
  readonly message: string
}

/** The library validates the values of its own tables: a CHECK that refuses a write there concerns a value already in the row. */
const BROKEN_ROW =
  'The row breaks the rules of the schema, because another program wrote it. Nothing was written. Correct or delete the row.'

const UNKNOWN =
  'SQLite reported an unexpected result code. The write was rolled back. Read the data before you try again.'

/** The first matching prefix of a result code decides. */
const MEANINGS: readonly (readonly [prefix: string, Meaning])[] = [
  [
    'SQLITE_BUSY',
    {
      code: 'BUSY',
      message:
        'Another process holds the lock of the database file. Nothing was written. Try again, or raise busyTimeoutMs.',
    },
  ],
  [
    'SQLITE_LOCKED',
    { code: 'BUSY', message: 'Another connection holds the lock of the database. Nothing was written. Try again.' },
  ],
  [
    'SQLITE_FULL',
    { code: 'STORAGE_FULL', message: 'The disk is full. Nothing was written. Make room, then try again.' },
  ],
  [
    'SQLITE_READONLY',
    {
      code: 'READ_ONLY',
      message: 'The database file or its folder cannot be written. Nothing was written. Check their owner and mode.',
    },
  ],
  [
    'SQLITE_PERM',
    {
      code: 'READ_ONLY',
      message: 'The system denies access to the database file. Nothing was written. Check its owner and mode.',
    },
  ],
  [
    'SQLITE_CANTOPEN',
    {
      code: 'CONFIG',
      message: 'The database file cannot be opened. Nothing was written. Check its folder, its owner and mode.',
    },
  ],
  [
    'SQLITE_IOERR',
    {
      code: 'UNAVAILABLE',
      message: 'The disk reported an error. Nothing was written. Check the disk, then try again.',
    },
  ],
  [
    'SQLITE_NOMEM',
    { code: 'UNAVAILABLE', message: 'SQLite ran out of memory. Nothing was written. Free memory, then try again.' },
  ],
  [
    'SQLITE_PROTOCOL',
    {
      code: 'BUSY',
      message: 'Too many processes ask for the lock of the database file. Nothing was written. Try again.',
    },
  ],
  [
    'SQLITE_CORRUPT',
    {
      code: 'CORRUPT',
      message: 'The database file is damaged. Nothing was written. Keep the file, then restore a backup.',
    },
  ],
  [
    'SQLITE_NOTADB',
    {
      code: 'CORRUPT',
      message:
        'The file is no SQLite database, or its beginning is damaged. Nothing was written. Check the path, or restore a backup.',
    },
  ],
  [
    'SQLITE_CONSTRAINT_PRIMARYKEY',
    { code: 'ALREADY_EXISTS', message: 'The key exists already. Nothing was written. Use save() to replace the row.' },
  ],
  [
    'SQLITE_CONSTRAINT_UNIQUE',
    {
      code: 'ALREADY_EXISTS',
      message: 'Another row has a value that must be unique. Nothing was written. Change the value, or that row.',
    },
  ],
  [
    'SQLITE_CONSTRAINT_TRIGGER',
    {
      code: 'CONFLICT',
      message: 'A trigger in the database refused the write. Nothing was written. Change the value, or the trigger.',
    },
  ],
  [
    'SQLITE_CONSTRAINT',
    {
      code: 'CONFLICT',
      message:
        'A constraint in the database refused the write. Nothing was written. Change the value, or the constraint.',
    },
  ],
  [
    'SQLITE_TOOBIG',
    {
      code: 'VALIDATION',
      message: 'A value is larger than SQLite can hold. Nothing was written. Store a smaller value.',
    },
  ],
  [
    'SQLITE_SCHEMA',
    { code: 'BUSY', message: 'Another process changed the schema meanwhile. Nothing was written. Try again.' },
  ],
  [
    'SQLITE_ERROR',
    {
      code: 'SCHEMA_MISMATCH',
      message:
        'The database does not have the tables that this version needs. Nothing was written. Run meshstore migrate status.',
    },
  ],
]

const STANDBY: Meaning = {
  code: 'READ_ONLY',
  message: 'The database is a standby. Nothing was written. Write to the primary, or run meshstore promote.',
}

/** RAISE() has no code of its own: the triggers of a standby are told by their message, which is this library's own. */
const isOfStandby = ({ code, message }: SqliteFailure): boolean =>
  code === 'SQLITE_CONSTRAINT_TRIGGER' && message.startsWith(STANDBY_MESSAGE)

/** The CHECKs of the library's own tables, as `drizzle/sqlite.sql` has them: SQLite names them without their table. */
const OUR_CHECKS: ReadonlySet<string> = new Set([
  'nodes_interfaces_json',
  'nodes_protocols_json',
  'nodes_started_flag',
  'nodes_routes_integer',
  'nodes_created_time',
  'nodes_updated_time',
  'path_cache_k',
  'path_cache_created_time',
  'path_cache_expires_time',
  'policies_rules_integer',
  'policies_created_time',
  'policies_updated_time',
])
const CHECK_FAILED = 'CHECK constraint failed: '
const NOT_NULL_FAILED = /^NOT NULL constraint failed: (\w+)\./

/** Whether a CHECK or a NOT NULL of the library's own tables refused the row. */
function isOurs({ message }: SqliteFailure): boolean {
  if (message.startsWith(CHECK_FAILED)) return OUR_CHECKS.has(message.slice(CHECK_FAILED.length))
  const [, table = ''] = NOT_NULL_FAILED.exec(message) ?? []
  return OUR_TABLES.includes(table)
}

/** The codes say which kind of constraint refused, and the messages alone which one: its name, or its columns. No values. */
const CONSTRAINT = /^(?:CHECK|NOT NULL|UNIQUE) constraint failed: (?:index ')?([\w$.]+(?:, [\w$.]+)*)'?$/

function meaningOfFailure(error: SqliteFailure): Meaning {
  const { code, message } = error
  if (isOfStandby(error)) return STANDBY
  if (isOurs(error)) return { code: 'CORRUPT', message: BROKEN_ROW }
  // ON DELETE RESTRICT is a trigger inside SQLite, and fails with the code of a trigger.
  return meaningOf(message === 'FOREIGN KEY constraint failed' ? 'SQLITE_CONSTRAINT' : code)
}

interface SqliteFailure extends Error {
  readonly code: string
}

/** better-sqlite3 sets `code` to the name of SQLite's extended result code. */
export const isSqliteFailure = (error: unknown): error is SqliteFailure =>
  isError(error) && 'code' in error && typeof error.code === 'string' && error.code.startsWith('SQLITE_')

/** Whether an error, translated or not, says that another connection holds a lock. */
export const isBusy = (error: unknown): boolean =>
  error instanceof StorageError
    ? error.code === 'BUSY'
    : isSqliteFailure(error) && meaningOf(error.code).code === 'BUSY'

/** Whether a translated error says that a constraint or a trigger refused the write. */
export const isConstraint = (error: unknown): error is StorageError =>
  error instanceof StorageError && isSqliteFailure(error.cause) && error.cause.code.startsWith('SQLITE_CONSTRAINT')

/** Translates a driver's error into a StorageError that names `file`. Returns errors that are not SQLite's unchanged. */
export function translated(error: unknown, file?: string): unknown {
  if (!isSqliteFailure(error)) return error
  const { code, message } = meaningOfFailure(error)
  const cause = cleaned(error)
  const which = cause.constraint === undefined ? '' : `; ${cause.constraint}`
  return new StorageError(code, `${message} (${named(error.code + which, file)})`, { cause })
}

/** Translates an error of COMMIT: after an I/O error the commit is indeterminate. */
export function translatedCommit(error: unknown, file?: string): unknown {
  if (!isSqliteFailure(error) || !error.code.startsWith('SQLITE_IOERR')) return translated(error, file)
  return new StorageError(
    'OUTCOME_UNKNOWN',
    `The disk reported an error during COMMIT: the write may or may not be there. Read before writing again. (${named(error.code, file)})`,
    { cause: cleaned(error) },
  )
}

const named = (code: string, file?: string): string => (file === undefined ? code : `${code}; ${file}`)

function meaningOf(code: string): Meaning {
  const found = MEANINGS.find(([prefix]) => code.startsWith(prefix))
  return found?.[1] ?? { code: 'UNAVAILABLE', message: UNKNOWN }
}

/** Removes a trigger's message, which may hold values. SQLite's own messages hold none. */
export function cleaned({ code, message, stack }: SqliteFailure): Error & { readonly constraint?: string | undefined } {
  const constraint = code === 'SQLITE_CONSTRAINT_TRIGGER' ? undefined : CONSTRAINT.exec(message)?.[1]
  const cause = Object.assign(new Error(code.startsWith('SQLITE_CONSTRAINT') ? code : message), { code, constraint })
  const frames = stack?.split('\n').filter((line) => line.startsWith('    at ')) ?? []
  cause.stack = [`Error: ${cause.message}`, ...frames].join('\n')
  return cause
}
