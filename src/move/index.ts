/** Copying from one database into another, loaded on demand: no driver is needed to import the library. */
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

/** At once: when the rest has been loaded, the working folder may be another one. */
function absolute(url: string): string {
  const target = databaseOf(url)
  return target.dialect === 'sqlite' && target.path !== ':memory:' ? resolve(target.path) : url
}

/**
 * Copies everything from one database into another, empty one: from SQLite to PostgreSQL, back, or between two of a kind. The
 * source is read as of one moment, while others read and write it; what they write meanwhile is not copied. The target's schema
 * is brought up to date, its rows are written in one transaction, and compared with what was read before that is committed:
 * whatever happens, all of it is there or nothing.
 *
 * Rejects with CONFIG if the target has rows; SCHEMA_MISMATCH, SCHEMA_NEWER and the like if the two schemas cannot be the same;
 * SCHEMA_MISMATCH if the source has other tables with rows, and `ignoreOtherTables` does not leave them behind;
 * CORRUPT, with `issues`, before anything is changed, if there are rows that cannot live in the target and no `quarantine` for
 * them; CONFLICT if what arrived is not what was sent; the signal's reason.
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
