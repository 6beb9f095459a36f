/** Checks a URL and options. The URL chooses the dialect. */
import { fileURLToPath } from 'node:url'
import type { BackupSchedule, PathCacheOptions, ReplicateOptions, Retention, StorageOptions } from '../api.ts'
import { RETENTION_RULES } from '../backup/retention.ts'
import { type PostgresTarget, postgresTarget } from '../database/postgres/url.ts'
import { misuse, problemsIn, StorageError } from '../errors.ts'
import { machineTime } from '../event-loop.ts'
import { checkPath, pathProblem } from '../files/path-rules.ts'
import type { OwnSetup } from '../migrator/own-tables.ts'
import type { MigrationOptions } from '../migrator/steps.ts'
import type { CountRules } from '../schema/policy-text.ts'
import * as rules from '../schema/rules.ts'
import { type AnyTables, describedBy } from '../tables/described.ts'

export interface Config {
  readonly target: Target
  readonly migrate: 'apply' | 'check' | 'skip'
  /** How long to wait for another process that migrates, in milliseconds. The default allows for a large migration. */
  readonly migrationWaitMs: number
  /** Options of the migration commands. */
  readonly migration?: MigrationOptions
  readonly durability: 'full' | 'normal'
  readonly readOnly: boolean
  readonly now: () => Date
  readonly busyTimeoutMs: number
  readonly maxPendingWrites: number
  readonly walLimitBytes: number
  readonly walLimitSeconds: number
  /** Default of `mode`: the URL's. */
  readonly pool: { readonly max: number; readonly mode: 'session' | 'transaction' | undefined }
  /** Defaults: by the URL. */
  readonly failoverMs: number | undefined
  readonly outcomeTokens: boolean | undefined
  readonly pathCache: PathCacheOptions
  readonly countRules: CountRules | undefined
  /** The application's own tables, by their names in the schema, and what an open makes of them. */
  readonly own: (OwnSetup & { readonly byName: AnyTables }) | undefined
  /** The database that a SQLite file's data moves to, or has moved to. */
  readonly successor: PostgresTarget | undefined
  /** `name`: the database that the files are named after. */
  readonly backups: (BackupSchedule & { readonly name: string }) | undefined
  readonly replicate: ReplicateOptions | undefined
}

/** A SQLite database. */
export interface SqliteTarget {
  readonly dialect: 'sqlite'
  /** A path, or `:memory:`. */
  readonly path: string
}

export type Target = SqliteTarget | PostgresTarget

/** Another process may be backing up a large file and rebuilding its tables. */
const MIGRATION_WAIT_MS = 600_000

const POOL_RULES: rules.Rules = {
  max: rules.isInteger(1, 10_000),
  mode: rules.isOneOf('session', 'transaction'),
}
const PATH_CACHE_RULES: rules.Rules = {
  ttlSeconds: rules.isTtl,
  maxEntries: rules.isInteger(1, rules.MAX_INTEGER),
  sweepSeconds: rules.isNumber(0.1, 86_400),
  invalidation: rules.isOneOf('topology', 'manual'),
}

const RULES: rules.Rules = {
  url: (value) => (typeof value === 'string' && value !== '' ? undefined : 'must be a URL or a path'),
  migrate: rules.isOneOf('apply', 'check', 'skip'),
  durability: rules.isOneOf('full', 'normal'),
  readOnly: rules.isFlag,
  now: rules.isFunction,
  busyTimeoutMs: rules.isInteger(0, rules.MAX_TIMER_MS),
  maxPendingWrites: rules.isInteger(1, rules.MAX_INTEGER),
  walLimitBytes: rules.isInteger(1, Number.MAX_SAFE_INTEGER),
  walLimitSeconds: rules.isNumber(0.01, 86_400),
  pool: (value) => nested(POOL_RULES, value),
  failoverMs: rules.isInteger(0, rules.MAX_TIMER_MS),
  outcomeTokens: rules.isFlag,
  pathCache: (value) => nested(PATH_CACHE_RULES, value),
  countRules: rules.isFunction,
  tables: (value) =>
    typeof value === 'object' && value !== null && 'tables' in value
      ? undefined
      : 'must be made by schema() of meshstore/tables',
  migrations: (value) => (typeof value === 'string' && value !== '' ? undefined : 'must be the path of a folder'),
  successor: (value) =>
    typeof value === 'string' && value !== '' ? undefined : 'must be the URL of a PostgreSQL database',
  backups: (value) => nested(BACKUP_RULES, value) ?? missing(value as Partial<BackupSchedule>),
  replicate: (value) =>
    nested(REPLICATE_RULES, value) ?? ((value as Partial<ReplicateOptions>).to === undefined ? 'needs to' : undefined),
}

const REPLICATE_RULES: rules.Rules = {
  to: (value) => (typeof value === 'string' && value !== '' ? undefined : 'must be a folder or a URL'),
  everySeconds: rules.isNumber(0.01, 3_600),
  keep: (value) => nested(RETENTION_RULES, value),
  onFenced: rules.isOneOf('report', 'refuse'),
}

const BACKUP_RULES: rules.Rules = {
  folder: pathProblem,
  everySeconds: rules.isInteger(1, Math.floor(rules.MAX_TIMER_MS / 1_000)),
  keep: (value) => nested(RETENTION_RULES, value) ?? nothingKept(value as Retention),
}

const nothingKept = (keep: Retention): string | undefined =>
  Object.values(keep).some((amount) => amount > 0) ? undefined : 'would keep nothing'

function missing({ folder, everySeconds }: Partial<BackupSchedule>): string | undefined {
  return folder === undefined || everySeconds === undefined ? 'needs folder and everySeconds' : undefined
}

function nested(of: rules.Rules, value: unknown): string | undefined {
  const [issue] = rules.problems(of, value)
  if (issue === undefined) return undefined
  return issue.path === '' ? issue.message : `${issue.path} ${issue.message}`
}

/** Throws CONFIG with `issues`. */
export function configOf(target: string | StorageOptions): Config {
  const options: StorageOptions = typeof target === 'string' ? { url: target } : target
  const issues = rules.problems(RULES, options)
  if (issues.length === 0 && options.outcomeTokens === true && options.failoverMs === 0)
    issues.push({ path: 'outcomeTokens', message: 'needs failoverMs, the time to look for an outcome' })
  if (issues.length === 0 && options.url === undefined) issues.push({ path: 'url', message: 'is missing' })
  if (issues.length > 0)
    throw new StorageError('CONFIG', `${problemsIn('The configuration', issues)}. Correct the options.`, { issues })
  const database = databaseOf(options.url)
  return {
    target: database,
    migrate: options.migrate ?? 'apply',
    migrationWaitMs: options.busyTimeoutMs ?? MIGRATION_WAIT_MS,
    durability: options.durability ?? 'full',
    readOnly: options.readOnly ?? false,
    now: options.now === undefined ? machineTime : checkedClock(options.now),
    busyTimeoutMs: options.busyTimeoutMs ?? 5_000,
    maxPendingWrites: options.maxPendingWrites ?? 100_000,
    walLimitBytes: options.walLimitBytes ?? 1_073_741_824,
    walLimitSeconds: options.walLimitSeconds ?? 300,
    pool: { max: options.pool?.max ?? 10, mode: options.pool?.mode },
    failoverMs: options.failoverMs,
    outcomeTokens: options.outcomeTokens,
    pathCache: { ...options.pathCache },
    countRules: options.countRules,
    own: ownOf(options),
    successor: options.successor === undefined ? undefined : successorOf(options.successor),
    backups: options.backups && {
      ...options.backups,
      keep: options.backups.keep && { ...options.backups.keep },
      name: nameOf(database),
    },
    replicate: options.replicate && {
      ...options.replicate,
      keep: options.replicate.keep && { ...options.replicate.keep },
    },
  }
}

/** Throws CONFIG. */
function ownOf({ tables, migrations }: StorageOptions): Config['own'] {
  if (tables === undefined && migrations === undefined) return undefined
  // schema() returns tables that table() made.
  const byName = (tables?.tables ?? {}) as AnyTables
  return { byName, tables: Object.values(byName).map(describedBy), migrations }
}

/** Throws CONFIG. */
export function successorOf(url: string): PostgresTarget {
  const successor = databaseOf(url)
  if (successor.dialect === 'postgresql') return successor
  throw new StorageError('CONFIG', 'Data moves to PostgreSQL only. Give a URL that begins with postgres://.')
}

/** The name that a database's backups begin with. */
export const nameOf = (database: Target): string =>
  database.dialect === 'sqlite' ? database.path : (database.database ?? 'mesh')

function checkedClock(now: () => Date): () => Date {
  return () => {
    const time = now()
    const problem = rules.isTime(time)
    if (problem !== undefined)
      throw misuse(`The value that \`now\` returned ${problem}. Nothing was written. Correct the function.`)
    return time
  }
}

/** A scheme has at least two letters: `C:` is a drive. */
const SCHEME = /^([a-z][a-z0-9+.-]+):/i

/** Throws CONFIG. No message contains the URL, which may hold a password. */
export function databaseOf(url: string): Target {
  const scheme = SCHEME.exec(url)?.[1]?.toLowerCase()
  if (scheme === undefined) return sqlite(url)
  if (scheme === 'sqlite') return sqlite(withoutAuthority(url.slice('sqlite:'.length)))
  if (scheme === 'file') return sqlite(fromFileUrl(url))
  if (scheme === 'postgres' || scheme === 'postgresql') return postgresTarget(url)
  throw new StorageError(
    'CONFIG',
    `The scheme ${scheme}: is unknown. Use sqlite:<path>, sqlite::memory:, file:, a path, or postgres://.`,
  )
}

/** `sqlite:///mesh.db` names /mesh.db, as in other tools; two slashes would name a host. */
function withoutAuthority(path: string): string {
  if (path.startsWith('///')) return path.slice(2)
  if (!path.startsWith('//')) return path
  throw new StorageError('CONFIG', 'sqlite:// names a host. Use sqlite:./relative.db or sqlite:/absolute.db.')
}

function fromFileUrl(url: string): string {
  const rest = url.slice('file:'.length)
  // `file:mesh.db` is a URI of SQLite, and no URL.
  if (!rest.startsWith('/')) return rest
  try {
    const { search, hash } = new URL(url)
    if (search === '' && hash === '') return fileURLToPath(url)
  } catch {
    // Node's error would quote the URL.
    throw new StorageError('CONFIG', 'The file: URL names no local file. Give one such as file:///data/mesh.db.')
  }
  throw new StorageError('CONFIG', 'A file: URL must not have parameters. Give options beside the URL.')
}

function sqlite(path: string): SqliteTarget {
  if (path !== ':memory:') checkPath(path)
  return { dialect: 'sqlite', path }
}
