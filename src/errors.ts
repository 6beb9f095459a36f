/**
 * Every error that the library throws. `code` is stable and what a program should look at; messages may change.
 *
 * Ids may appear in a message; policy texts, bundles, passwords and other bound values never do, nor in `cause`.
 */

export type StorageErrorCode =
  /** A value was refused before it reached the database; `issues` says which and why. */
  | 'VALIDATION'
  /** The key exists. */
  | 'ALREADY_EXISTS'
  /** The key does not exist. */
  | 'NOT_FOUND'
  /** The row is not as `ifUpdatedAt` expected, or a trigger or constraint in the database refused the write. */
  | 'CONFLICT'
  /** Others held a lock for longer than `busyTimeoutMs` or were in the way all the time, or too many writes wait. */
  | 'BUSY'
  /** A transaction took longer than `timeoutMs`; nothing of it happened. */
  | 'TIMEOUT'
  /** The store is closed. */
  | 'CLOSED'
  /** The calling program is wrong; the message says how. */
  | 'MISUSE'
  /** The store, the transaction, the file or its folder cannot be written. */
  | 'READ_ONLY'
  /** The database cannot be reached. */
  | 'UNAVAILABLE'
  /** The disk failed during COMMIT, or the connection before the answer: the write may be there. Read before you write again. */
  | 'OUTCOME_UNKNOWN'
  /** The disk is full; nothing of the write happened. */
  | 'STORAGE_FULL'
  /** A stored value breaks the rules: the file is damaged, or another program wrote the row. */
  | 'CORRUPT'
  /** The database's schema is not the one that this version works with; or migrations are pending that must not be applied. */
  | 'SCHEMA_MISMATCH'
  /** A newer version of this package has changed the database in a way that this one cannot work with. */
  | 'SCHEMA_NEWER'
  /** A migration's file is not the one that was applied to the database. */
  | 'MIGRATION_EDITED'
  /** The database has a migration that this version should know, and does not. */
  | 'MIGRATION_MISSING'
  /** A migration is pending that is older than one that was applied. */
  | 'MIGRATION_OUT_OF_ORDER'
  /** A backup that must not be trusted. */
  | 'BACKUP_INVALID'
  /** Changes were missed: the subscriber stayed away for too long, or the database is another one. Read everything anew. */
  | 'CHANGES_MISSED'
  /** The data has been moved to another database. */
  | 'MOVED'
  /** A URL, an option or the environment cannot be used. */
  | 'CONFIG'

const RETRYABLE: ReadonlySet<StorageErrorCode> = new Set(['BUSY', 'TIMEOUT', 'UNAVAILABLE'])

/** One problem of a refused value. `path` is `''` for the value as a whole, else like `interfaces[3]`. */
export interface ValidationIssue {
  readonly path: string
  readonly message: string
}

/** The documents' address of a code, also of one that only the command line prints. */
export const docsOf = (code: StorageErrorCode | CommandCode): string => `docs/reference/errors.md#${code.toLowerCase()}`

/** Codes that the command line prints, beside those of the library. */
export type CommandCode = 'USAGE' | 'INTERRUPTED' | 'INTERNAL'

export class StorageError extends Error {
  override readonly name = 'StorageError'
  readonly code: StorageErrorCode
  /** The section about the code, as a path in the package's folder: `docs/reference/errors.md#busy`. */
  readonly docs: string
  /** Whether the same call may succeed later without an operator's action. */
  readonly retryable: boolean
  /**
   * The problems of the value or the options (`VALIDATION`, `CONFIG`), or of rows in a file that another program made
   * (`SCHEMA_MISMATCH`); else empty.
   */
  readonly issues: readonly ValidationIssue[]

  constructor(
    code: StorageErrorCode,
    message: string,
    options: { cause?: unknown; issues?: readonly ValidationIssue[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.docs = docsOf(code)
    this.retryable = RETRYABLE.has(code)
    this.issues = options.issues ?? []
  }
}

/** Most problems in the message; `issues` has all of them. */
const ISSUES_IN_MESSAGE = 3

export function problemsIn(what: string, issues: readonly ValidationIssue[]): string {
  const shown = issues.slice(0, ISSUES_IN_MESSAGE).map(({ path, message }) => (path ? `${path}: ${message}` : message))
  const more = issues.length > shown.length ? `; and ${issues.length - shown.length} more` : ''
  return `${what} cannot be used: ${shown.join('; ')}${more}`
}

/** Whether a call reads or writes: a refusal says that nothing was read, or that nothing was written. */
export type Access = 'read' | 'write'

export function validationError(
  what: string,
  issues: readonly ValidationIssue[],
  access: Access = 'write',
): StorageError {
  const nothing = access === 'read' ? 'Nothing was read.' : 'Nothing was written.'
  return new StorageError('VALIDATION', `${problemsIn(what, issues)}. ${nothing} Correct the value.`, { issues })
}

export const misuse = (message: string, cause?: unknown): StorageError =>
  new StorageError('MISUSE', message, cause === undefined ? {} : { cause })

/** A constraint's refusal does not name the column. Reading the row throws an error that does. */
export const explainedBy =
  (readRow: () => Promise<unknown>) =>
  async (error: unknown): Promise<never> => {
    if (error instanceof StorageError && error.code === 'CORRUPT' && error.cause !== undefined) await readRow()
    throw error
  }

type Kind = 'node' | 'policy'

export const alreadyExists = (kind: Kind, id: string): StorageError =>
  new StorageError(
    'ALREADY_EXISTS',
    `There is a ${kind} ${JSON.stringify(id)} already. Nothing was written. Use save() to replace it.`,
  )

export const notFound = (kind: Kind, id: string): StorageError =>
  new StorageError(
    'NOT_FOUND',
    `There is no ${kind} ${JSON.stringify(id)}. Nothing was written. Use save() to create it.`,
  )

export const conflict = (kind: Kind, id: string): StorageError =>
  new StorageError(
    'CONFLICT',
    `The ${kind} ${JSON.stringify(id)} has changed since it was read. Nothing was written. Read it again, then decide.`,
  )

/** A trigger has dropped the row in silence: RAISE(IGNORE) on SQLite, RETURN NULL on PostgreSQL. */
export const dropped = (kind: Kind, id?: string): StorageError =>
  new StorageError(
    'CONFLICT',
    `A trigger in the database kept the ${kind}${id === undefined ? '' : ` ${JSON.stringify(id)}`} from being saved. Nothing was written. Drop the trigger, or change the value.`,
  )

/** A value that must be there: where it is not, this library is wrong. Throws TypeError. */
export function present<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError('A value is missing that must be there.')
  return value
}

/** A property of a value that may be anything; `undefined` if it has none. */
export const propertyOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined

/** Node and drivers may throw an `Error` of another realm: Jest gives each test file an `Error` of its own. */
export const isError = (value: unknown): value is Error =>
  value instanceof Error || (typeof value === 'object' && value !== null && 'message' in value && 'stack' in value)
