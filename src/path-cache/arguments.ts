import { bundleText } from '../schema/bundle-rules.ts'
import type { PathBundle, PathKey } from '../schema/index.ts'
import { cacheKey } from '../schema/path-bundle.ts'
import * as rules from '../schema/rules.ts'
import type { Entry } from './entry-statements.ts'

export const TTL_RULES: rules.Rules = { ttlSeconds: rules.isTtl }
export const COMPUTE_RULES: rules.Rules = {
  ...TTL_RULES,
  staleSeconds: rules.isNumber(0, rules.MAX_TTL_SECONDS),
  computeTimeoutMs: rules.isInteger(1, rules.MAX_TIMER_MS),
  jitter: rules.isNumber(0, 1),
  signal: rules.isSignal,
}
export const FILTER_RULES: rules.Rules = { source: rules.isId, destination: rules.isId }
export const INVALIDATION_RULES: rules.Rules = { ...FILTER_RULES, through: rules.isId }
export const LIST_RULES: rules.Rules = { ...FILTER_RULES, limit: rules.isLimit, after: rules.isStorableText }
export const WATCH_RULES: rules.Rules = { signal: rules.isSignal }
export const EXPIRY_RULES: rules.Rules = { now: rules.isTime, batchSize: rules.isLimit }

export interface NewEntry {
  key: PathKey
  bundle: PathBundle
  ttlSeconds?: number | undefined
}

/** Throws VALIDATION. `path` prefixes each issue's path. */
export function entryOf(
  { key, bundle, ttlSeconds }: NewEntry,
  defaults: { readonly now: Date; readonly ttlSeconds: number },
  path: string,
): Entry {
  const { source, destination, k } = rules.checkedKey(key, { path: path === '' ? '' : `${path}.key` })
  const text = bundleText(bundle, path === '' ? 'bundle' : `${path}.bundle`)
  const createdAt = defaults.now
  const seconds = ttlSeconds ?? defaults.ttlSeconds
  const expiresAt = new Date(createdAt.getTime() + Math.max(1, Math.round(seconds * 1000)))
  return { cacheKey: cacheKey({ source, destination, k }), source, destination, k, bundle: text, createdAt, expiresAt }
}

const ENTRY_RULES: rules.Rules = {
  // `checkedEntry` only requires key and bundle: `PathEntries` validates them.
  key: () => undefined,
  bundle: () => undefined,
  ttlSeconds: rules.isTtl,
}

export const checkedEntry = (entry: unknown, path: string): NewEntry =>
  rules.checkedSnapshot('An entry', ENTRY_RULES, rules.snapshotOf(entry), {
    required: ['key', 'bundle'],
    path,
  }) as unknown as NewEntry
