/** Opens the connections of a file, and brings its schema up to date. */
import { StorageError } from '../../errors.ts'
import { BusyRetry } from './busy-retry.ts'
import { SqliteConnection } from './connection.ts'
import { isSqliteFailure, translated } from './errors.ts'
import { prepareFile } from './file.ts'
import { type Durability, openConnection, prepareWriter } from './raw-connection.ts'
import type { WalLimits } from './wal-limit.ts'

/** Maximum size of the write-ahead log's file after the log was emptied. */
const EMPTY_LOG_BYTES = 67_108_864

export interface SqliteOptions extends WalLimits {
  /** A path, or `:memory:`. */
  readonly path: string
  readonly durability: Durability
  readonly readOnly: boolean
  /** Whether a file that is missing is made. Default: unless it is only read. */
  readonly create?: boolean
  readonly busyTimeoutMs: number
  readonly maxPendingWrites: number
}

export interface SchemaSteps {
  /** Runs before any change, even of the journal mode. Throws if the file must not be used. */
  readonly check: (raw: SqliteConnection['raw']) => Promise<void>
  /** Runs before the file gets a write-ahead log: a refused file stays as it was. */
  readonly adopt: (raw: SqliteConnection['raw']) => Promise<void>
  readonly migrate: (raw: SqliteConnection['raw']) => Promise<void>
  /** The last migration that was applied. */
  readonly version: (raw: SqliteConnection['raw']) => string
  /** The error that names the missing parts of the tables, if any. It throws what an own table lacks. */
  readonly problem: (raw: SqliteConnection['raw']) => StorageError | undefined
}

interface Opened {
  /** The real path, or `:memory:`. */
  readonly path: string
  readonly writer: SqliteConnection
  /** The writer itself for a read-only store and a store in memory. */
  readonly reader: SqliteConnection
}

export async function openConnections(options: SqliteOptions, schema: SchemaSteps): Promise<Opened> {
  const memory = options.path === ':memory:'
  const path = memory ? options.path : prepareFile(options.path, { create: options.create ?? !options.readOnly })
  const busyRetry = new BusyRetry(options.busyTimeoutMs)
  const connect = (readOnly: boolean): Promise<SqliteConnection> =>
    busyRetry
      .run(() => new SqliteConnection(openConnection(path, { readOnly })))
      .catch((error) => {
        throw readOnly ? explainedReadOnly(path, error) : error
      })

  const writer = await connect(options.readOnly && !memory)
  try {
    await busyRetry.run(() => schema.check(writer.raw))
    await schema.adopt(writer.raw)
    if (!options.readOnly || memory) {
      await prepareWriter(writer.raw, options.durability, busyRetry)
      // It reads the schema, for which it may have to wait.
      const most = Math.min(options.walLimitBytes, EMPTY_LOG_BYTES)
      await busyRetry.run(() => writer.raw.pragma(`journal_size_limit = ${most}`))
    }
    await schema.migrate(writer.raw)
    const reader = memory || options.readOnly ? writer : await connect(true)
    return { path, writer, reader }
  } catch (error) {
    writer.close()
    throw options.readOnly ? explainedReadOnly(path, translated(error, path)) : translated(error, path)
  }
}

/** SQLite reads a file in WAL mode through two more files, -wal and -shm, which it must create. */
function explainedReadOnly(path: string, error: unknown): unknown {
  if (!(error instanceof StorageError)) return error
  const { cause } = error
  if (!isSqliteFailure(cause) || !/^SQLITE_(CANTOPEN|READONLY)/.test(cause.code)) return error
  return new StorageError(
    'CONFIG',
    `${path} cannot be read while its folder cannot be written, since SQLite has to make ${path}-wal and ${path}-shm. Nothing was read. Open a copy in a folder that can be written. (${cause.code})`,
    { cause },
  )
}
