/** Changes and resume tokens, as the caller sees them. */
import type { Change, InvalidationFilter } from '../api.ts'
import type { LoggedChange, LogPosition } from '../database/session.ts'
import { StorageError } from '../errors.ts'

/** The resume token of a position. Opaque to the caller. */
export const tokenOf = ({ log, position }: LogPosition): string => `${log}~${position}`

/** Parses a resume token. Throws VALIDATION. */
export function positionOf(token: string): LogPosition {
  const [, log, position] = /^([0-9a-f-]{36})~([0-9a-f:,/-]+)$/.exec(token) ?? []
  if (log !== undefined && position !== undefined) return { log, position }
  throw new StorageError(
    'VALIDATION',
    'The token was refused, since it is none of a change. Nothing was subscribed. Give the token of a change, or none.',
    {
      issues: [{ path: 'after', message: 'must be a token of a change' }],
    },
  )
}

export function changeOf({ table, key, operation, through }: LoggedChange, token: string): Change {
  const isInvalidation = operation === 'invalidate'
  return {
    table,
    operation: operation as Change['operation'],
    token,
    key: isInvalidation ? undefined : (key ?? undefined),
    paths: isInvalidation ? pathsOf(through, key) : undefined,
  }
}

function pathsOf(through: string | null | undefined, filter: string | null): InvalidationFilter {
  if (typeof through === 'string') return { through }
  const given: Readonly<Record<string, string | null>> = JSON.parse(filter ?? '{}')
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
}
