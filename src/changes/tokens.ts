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

export function changeOf({ table, key, operation }: LoggedChange, token: string): Change {
  const change = { table, operation, token } as Pick<Change, 'table' | 'operation' | 'token'>
  if (operation !== 'invalidate') return { ...change, key: key ?? undefined, paths: undefined }
  return { ...change, key: undefined, paths: filterOf(JSON.parse(key ?? '{}')) }
}

const filterOf = (given: Readonly<Record<string, string | null>>): InvalidationFilter =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
