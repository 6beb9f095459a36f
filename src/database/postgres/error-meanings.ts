/** The meaning of each SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html). */
import type { StorageErrorCode } from '../../errors.ts'

interface Meaning {
  readonly code: StorageErrorCode
  readonly message: string
}

/** The library validates the values of its own tables: a CHECK that refuses a write there concerns a value already in the row. */
const BROKEN_ROW =
  'The row breaks the rules of the schema, because another program wrote it. Nothing was written. Correct or delete the row.'

const POOL_MODE = 'Open with pool: { mode: "transaction" }, or add pool_mode=transaction to the URL.'

const timeLimit = (setting: string): string =>
  `The server's ${setting} ended the transaction. Nothing was written. Shorten the transaction, or raise the setting.`

/** A foreign key, an exclusion constraint, and every CHECK or NOT NULL of an application's table. */
export const BY_CONSTRAINT: readonly [prefix: string, Meaning] = [
  '23',
  {
    code: 'CONFLICT',
    message:
      'A constraint in the database refused the write. Nothing was written. Change the value, or the constraint.',
  },
]

/** The first matching prefix of a SQLSTATE decides. */
export const MEANINGS: readonly (readonly [prefix: string, Meaning])[] = [
  ['40001', { code: 'BUSY', message: 'The transaction conflicted with others and was rolled back. Try it again.' }],
  ['40P01', { code: 'BUSY', message: 'The transaction ran into a deadlock and was rolled back. Try it again.' }],
  ['55P03', { code: 'BUSY', message: 'Another transaction held a row for too long. Nothing was written. Try again.' }],
  [
    '23505',
    {
      code: 'ALREADY_EXISTS',
      message: 'Another row has a value that must be unique. Nothing was written. Change the value, or that row.',
    },
  ],
  ['23514', { code: 'CORRUPT', message: BROKEN_ROW }],
  ['23502', { code: 'CORRUPT', message: BROKEN_ROW }],
  BY_CONSTRAINT,
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

/** A trigger may raise a SQLSTATE of its own. A retry would not help. */
export const UNKNOWN: (typeof MEANINGS)[number] = [
  '',
  {
    code: 'CONFLICT',
    message: "The database refused the write. Nothing was written. Look the SQLSTATE up in PostgreSQL's documents.",
  },
]
export const BY_POLICY: (typeof MEANINGS)[number] = [
  '42501',
  {
    code: 'CONFLICT',
    message:
      "A policy of the table's row-level security refused the row. Nothing was written. Change the policy, or the value.",
  },
]
