/**
 * Keeps other web pages out. A page on another site reaches a server on the loopback address by DNS rebinding, or by a
 * request that its browser sends without asking first: the `Host` and `Origin` headers show both.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { HttpProblem } from './problems.ts'

export interface GuardOptions {
  /** Names in a `Host` header that are taken, besides `localhost` and IP addresses. */
  readonly allowedHosts?: readonly string[]
  /** Asked of every request but those for the page's own files and for `/health`. */
  readonly token?: string | undefined
}

const PUBLIC = new Set(['/', '/health'])

export function guard(app: FastifyInstance, { allowedHosts = [], token }: GuardOptions): void {
  const names = new Set(['localhost', ...allowedHosts.map((name) => name.toLowerCase())])
  const isAllowed = (host: string): boolean => {
    const url = URL.parse(`http://${host}`)
    if (url === null || url.pathname !== '/' || url.username !== '') return false
    // An IP address cannot be rebound.
    return names.has(url.hostname) || isIP(url.hostname.replace(/^\[(.*)\]$/, '$1')) !== 0
  }
  const expected = token === undefined ? undefined : digest(token)
  // Nearly all requests have the Host header of the one before.
  let allowed: string | undefined

  // Hooks with a callback: a promise for each hook of each request would take longer than the hook.
  app.addHook('onRequest', (request, reply, done) => {
    const { host = '', origin } = request.headers
    if (host !== allowed) {
      if (!isAllowed(host)) {
        throw new HttpProblem(421, 'The Host header names another server. Start this one with --allow-host NAME.')
      }
      allowed = host
    }
    if (origin !== undefined && URL.parse(origin)?.host !== host.toLowerCase()) {
      throw new HttpProblem(403, 'The request comes from the page of another site, and was refused.')
    }
    if (expected !== undefined && !isPublic(request) && !timingSafeEqual(expected, digest(givenToken(request)))) {
      reply.header('www-authenticate', 'Bearer')
      throw new HttpProblem(401, 'Send the header Authorization: Bearer TOKEN, with the token of this server.')
    }
    done()
  })
}

const isPublic = ({ routeOptions: { url = '' } }: FastifyRequest): boolean =>
  PUBLIC.has(url) || url.startsWith('/page/')

/** Equal lengths, whatever was sent. */
const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

const givenToken = ({ headers: { authorization = '' } }: FastifyRequest): string =>
  /^Bearer +(.+)$/i.exec(authorization)?.[1] ?? ''
