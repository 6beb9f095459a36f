/** Errors become problem documents (RFC 9457): those of the storage by their codes, never by their messages. */
import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { StorageError, type StorageErrorCode, type ValidationIssue } from 'meshstore'
import { UnknownNode } from '../path-service.ts'

export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly code?: string | undefined
  readonly issues?: readonly ValidationIssue[] | undefined
}

/** A refusal by this application itself. */
export class HttpProblem extends Error {
  readonly status: number
  readonly issues: readonly ValidationIssue[] | undefined

  constructor(status: number, message: string, issues?: readonly ValidationIssue[]) {
    super(message)
    this.status = status
    this.issues = issues
  }
}

/** All others are 500: somebody has to look. */
const STATUS: Partial<Record<StorageErrorCode, number>> = {
  VALIDATION: 400,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  CONFLICT: 409,
  BUSY: 503,
  TIMEOUT: 503,
  UNAVAILABLE: 503,
  CLOSED: 503,
  STORAGE_FULL: 507,
}
const RETRY_AFTER_SECONDS = 1

export function sendProblem(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOf(error)
  if (problem.status >= 500 && problem.status !== 503) request.log.error(error)
  if (problem.status === 503) reply.header('retry-after', String(RETRY_AFTER_SECONDS))
  return reply.code(problem.status).type('application/problem+json').send(problem)
}

function problemOf(error: FastifyError | Error): Problem {
  if (error instanceof StorageError) {
    const { code, message, issues } = error
    return problem(STATUS[code] ?? 500, message, {
      code,
      ...(code === 'VALIDATION' ? { issues: issues.map(asOnTheWire) } : {}),
    })
  }
  if (error instanceof UnknownNode) return problem(404, error.message, { code: 'NOT_FOUND' })
  if (error instanceof HttpProblem) {
    const { status, message, issues } = error
    return problem(status, message, issues === undefined ? {} : { code: 'VALIDATION', issues })
  }
  if ('validation' in error && error.validation !== undefined) {
    const issues = error.validation.map(({ instancePath, message = '', params }) => ({
      path: pathOf(instancePath, params),
      message,
    }))
    return problem(400, error.message, { code: 'VALIDATION', issues })
  }
  // The framework's own: no JSON, too large, another content type.
  const status = 'statusCode' in error ? (error.statusCode ?? 500) : 500
  return problem(status, status < 500 ? error.message : 'The server has a problem, which is in its log.')
}

export const problem = (status: number, detail: string, more: Pick<Problem, 'code' | 'issues'> = {}): Problem => ({
  type: 'about:blank',
  title: STATUS_CODES[status] ?? 'Error',
  status,
  detail,
  ...more,
})

/** The storage says `nodeId`, and a client `node_id`. */
const asOnTheWire = ({ path, message }: ValidationIssue): ValidationIssue => ({
  path: path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
  message,
})

/** `/interfaces/3` is `interfaces[3]`, as the storage writes it. */
function pathOf(pointer: string, { missingProperty, additionalProperty }: Readonly<Record<string, unknown>>): string {
  const member = missingProperty ?? additionalProperty
  const whole = typeof member === 'string' ? `${pointer}/${member}` : pointer
  return whole
    .replace(/\/(\d+)/g, '[$1]')
    .slice(1)
    .replaceAll('/', '.')
}
