/** Copies a database. The drivers are loaded on demand: importing the library needs none. */
import { resolve } from 'node:path'
import type { CopyOptions, CopyReport } from '../api.ts'
import { checkPath } from '../files/path-rules.ts'
import { databaseOf } from '../open/config.ts'
import * as rules from '../schema/rules.ts'

const OPTION_RULES: rules.Rules = {
  dryRun: rules.isFlag,
  skipCache: rules.isFlag,
  ignoreOtherTables: rules.isFlag,
  quarantine: (value) => (typeof value === 'string' && value !== '' ? undefined : 'must be a path'),
  busyTimeoutMs: rules.isInteger(0, rules.MAX_TIMER_MS),
  onProgress: rules.isFunction,
  onRefused: rules.isFunction,
  signal: rules.isSignal,
}

/** Resolves a path now: the working folder may change while modules are loaded. */
function absolute(url: string): string {
  const target = databaseOf(url)
  return target.dialect === 'sqlite' && target.path !== ':memory:' ? resolve(target.path) : url
}

/**
 * Copies a database into an empty one: from SQLite to PostgreSQL, back, or between two of a kind. Other programs may use the source
 * meanwhile: the copy is a consistent snapshot, without later writes. The target's schema is brought up to date. One transaction
 * writes all rows, and compares them with the source before it commits: the target gets everything or nothing.
 *
 *     await copyDatabase('sqlite:./mesh.db', 'postgres://…/mesh')
 *
 * @throws {StorageError} CONFIG (the target has rows), SCHEMA_MISMATCH and SCHEMA_NEWER (the two schemas differ), SCHEMA_MISMATCH
 * (other tables of the source have rows, and `ignoreOtherTables` is not set), CORRUPT with `issues` (the target cannot hold some
 * rows, and there is no `quarantine` file for them; nothing was changed), CONFLICT (the target's rows differ from the sent ones)
 */
export async function copyDatabase(from: string, to: string, options: CopyOptions = {}): Promise<CopyReport> {
  rules.checkOptions('The options', OPTION_RULES, options)
  const [source, target] = [absolute(from), absolute(to)]
  const quarantine = options.quarantine
  if (quarantine !== undefined) checkPath(quarantine)
  const copied = { ...options, ...(quarantine !== undefined && { quarantine: resolve(quarantine) }) }
  options.signal?.throwIfAborted()
  return (await import('./copy.ts')).copy(source, target, copied)
}
