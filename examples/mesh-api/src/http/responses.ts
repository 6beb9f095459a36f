/** The answers of the routes, for the OpenAPI document. */
import type { TSchema } from 'typebox'
import { Problem, ref } from './schemas.ts'

const DESCRIPTIONS = {
  400: 'Refused; `issues` says what is wrong',
  404: 'There is none',
  409: 'It is there already, or another write was in the way',
  412: '`If-Match` names another version',
  413: 'Longer than the storage takes',
  415: 'Another content type than JSON',
  503: 'Try again after `Retry-After`',
} as const

export type ProblemStatus = keyof typeof DESCRIPTIONS

const content = { 'application/problem+json': { schema: ref(Problem) } }

/** Besides them there may always be others: the disk is full, say. */
export const problems = (...statuses: ProblemStatus[]) => ({
  ...Object.fromEntries(
    [...statuses, 503 as const].map((status) => [status, { description: DESCRIPTIONS[status], content }]),
  ),
  default: {
    description: 'Any other problem: 401 without the token, 403 or 421 from the page of another site',
    content,
  },
})

const ETAG = { ETag: { type: 'string', description: 'The version, for `If-Match`' } }

/** A row with its version. */
export const versioned = <T extends TSchema>(description: string, schema: T): T & { headers: typeof ETAG } => ({
  ...schema,
  description,
  headers: ETAG,
})
