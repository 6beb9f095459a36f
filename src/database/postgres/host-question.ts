/** Asks one host of a URL whether it is the primary. */
import { isIP, Socket } from 'node:net'
import pg from 'pg'
import { propertyOf, StorageError } from '../../errors.ts'
import { setTimeout } from '../../event-loop.ts'
import { isFinal, sqlstateOf, translated } from './errors.ts'
import type { Host } from './url.ts'

export interface Answer {
  readonly at: Host
  readonly place: string
  readonly isPrimary: boolean
  /** `undefined`: the host is a replica. */
  readonly error?: unknown
}

export interface Question {
  readonly answer: Promise<Answer>
  readonly client: pg.Client
  /** The host's name in messages: its address, as soon as that is known. */
  readonly place: () => string
}

interface Internals {
  readonly connection: NodeJS.EventEmitter & { readonly stream: Socket }
  /** `false` or `undefined` while an answer is due. */
  readonly readyForQuery?: boolean
}
export const internals = (client: pg.Client): Internals => client as unknown as Internals

export const destroy = (client: pg.Client): void => void internals(client).connection.stream.destroy()

/** A server that stands still would not close the connection. In milliseconds. */
const END_MS = 300

/**
 * `config`: the settings of a connection; its limit for connecting is the limit of the answer. `place`: what to call the host until its
 * address is known.
 */
export function question(
  at: Host,
  config: pg.ClientConfig,
  { place, isProxied }: { place: string; isProxied: boolean },
): Question {
  let known = place
  const stream = (): Socket =>
    noting(new Socket(), (address) => {
      known = address
    })
  const client = new pg.Client({ ...config, ...at, query_timeout: config.connectionTimeoutMillis, stream })
  const reported = new Map<string, string>()
  client.on('error', () => {})
  if (!isProxied) noteReports(client, reported)
  const ask = async (): Promise<Answer> => {
    try {
      await client.connect()
      const isPrimary = !(await isReplica(client, reported))
      return { at, place: known, isPrimary }
    } catch (error) {
      return { at, place: known, isPrimary: false, error }
    } finally {
      client.end().catch(() => {})
      setTimeout(() => destroy(client), END_MS).unref()
    }
  }
  return { answer: ask(), client, place: () => known }
}

/** Reported since PostgreSQL 14. */
const IN_RECOVERY = 'in_hot_standby'

export function noteReports(client: pg.Client, reported: Map<string, string>): void {
  internals(client).connection.on('parameterStatus', (each: { parameterName: string; parameterValue: string }) => {
    reported.set(each.parameterName, each.parameterValue)
  })
}

/** Whether the server has reported that it is the primary. */
export const isReportedPrimary = (reported: ReadonlyMap<string, string> | undefined): boolean =>
  reported?.get(IN_RECOVERY) === 'off'

export async function isReplica(client: pg.Client, reported: ReadonlyMap<string, string>): Promise<boolean> {
  const said = reported.get(IN_RECOVERY)
  if (said !== undefined) return said === 'on'
  // A replica refuses the session's default isolation level.
  const results: unknown = await client.query(
    'BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_is_in_recovery()::text AS said; ROLLBACK',
  )
  return (results as pg.QueryResult<{ said: string }>[])[1]?.rows[0]?.said === 'true'
}

/** Notes the addresses that are tried. Unlike a URL's host, a resolved address cannot be a misplaced password. */
export function noting(socket: Socket, note: (place: string) => void): Socket {
  return socket.on('connectionAttempt', (address: string, port: number) => {
    if (isIP(address) !== 0) note(`${isIP(address) === 6 ? `[${address}]` : address}:${port}`)
  })
}

/** Says what each host answered. If no wait can help, it is the first host's error. */
export function noPrimary(answers: readonly Answer[]): unknown {
  const [first] = answers
  if (first !== undefined && answers.every(({ error }) => error !== undefined && isFinal(error))) return first.error
  const said = answers.map(({ place, error }) => (error === undefined ? `${place} is a replica` : failed(place, error)))
  return new StorageError(
    'UNAVAILABLE',
    `No primary was found: ${said.join('; ')}. Nothing was written. Check the cluster, then try again.`,
    { cause: new Error('no primary') },
  )
}

function failed(place: string, error: unknown): string {
  const code = sqlstateOf(error) ?? propertyOf(error, 'code') ?? 'no answer'
  const failure = translated(error)
  // A wrong password is worth a sentence of its own.
  const [why] = isFinal(error) && failure instanceof StorageError ? failure.message.split('. ') : []
  return `${place} failed (${why === undefined ? code : `${code}: ${why}`})`
}
