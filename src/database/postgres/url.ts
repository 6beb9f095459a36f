import { readFileSync } from 'node:fs'
import { StorageError } from '../../errors.ts'

/** A server's address. The driver verifies its certificate for this name. */
export interface Host {
  readonly host: string
  readonly port: number | undefined
  /** `false`, or the options of `tls.connect()`. */
  readonly ssl:
    | false
    | { readonly rejectUnauthorized: boolean; readonly ca?: string; readonly cert?: string; readonly key?: string }
}

/**
 * A PostgreSQL server's address in fields: a pool that gets a URL shows the password when it is inspected. `host`, `port` and `ssl`
 * are those of the first of `hosts`.
 */
export interface PostgresTarget extends Host {
  readonly dialect: 'postgresql'
  /** The servers of a cluster, one of which is the primary. */
  readonly hosts: readonly Host[]
  readonly user: string | undefined
  readonly password: string | undefined
  readonly database: string | undefined
  readonly applicationName: string
  /** How long to wait for a connection, in milliseconds: 5,000 by default. */
  readonly connectMs: number
  /** The server's time limit for a statement, in milliseconds: 29,000 by default. The driver waits a second longer. */
  readonly statementMs: number
  /** `'transaction'`: a proxy gives each transaction another session. */
  readonly poolMode: 'session' | 'transaction'
}

const config = (message: string, cause?: unknown): StorageError => new StorageError('CONFIG', message, { cause })

const PARAMETERS: ReadonlySet<string> = new Set([
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'application_name',
  'connect_timeout',
  'statement_timeout',
  'pool_mode',
  'host',
  'target_session_attrs',
])

/** Throws CONFIG. Messages contain no part of the URL except names of parameters. */
export function postgresTarget(url: string): PostgresTarget {
  const { first, others } = split(url)
  const parsed = parse(first)
  const parameters = parsed.searchParams
  // A / or ? in an unencoded password ends the authority: the rest of the password would count as a path or a parameter.
  if ([parsed.pathname, parsed.hash, ...parameters.keys()].some((part) => part.includes('@')) || parsed.hash !== '') {
    throw config('The postgres:// URL cannot be read. Percent-encode / ? # and @ in user, password and database.')
  }
  for (const name of parameters.keys()) {
    if (!PARAMETERS.has(name)) {
      throw config(`The parameter ${name} of the URL is unknown. Use one of ${[...PARAMETERS].join(', ')}.`)
    }
  }
  if (others.length > 0 && (parameters.has('host') || parsed.hostname === ''))
    throw config(
      'The postgres:// URL has several hosts, and one of them is empty or a parameter. Name each before the database.',
    )
  checkAttributes(parameters.get('target_session_attrs'))
  // Read the environment here, as the driver would: the default of TLS depends on the host.
  const host = parameters.get('host') ?? (nameOf(parsed) || process.env.PGHOST || 'localhost')
  if (host.includes(','))
    throw config('The parameter host of the URL names several hosts. Name them before the database: h1:5432,h2:5432.')
  const hosts = distinct([{ host, port: portOf(parsed) }, ...others]).map((each) => ({
    ...each,
    ssl: sslOf(parameters, each.host),
  }))
  return {
    dialect: 'postgresql',
    ...(hosts[0] as Host),
    hosts,
    user: present(decoded(parsed.username)),
    password: present(decoded(parsed.password)),
    database: present(decoded(parsed.pathname.slice(1))),
    applicationName: parameters.get('application_name') ?? 'meshstore',
    connectMs: 1000 * numberOf(parameters, 'connect_timeout', { least: 1, most: 3_600, usual: 5 }),
    statementMs: numberOf(parameters, 'statement_timeout', { least: 1, most: 86_400_000, usual: 29_000 }),
    poolMode: poolModeOf(parameters.get('pool_mode')),
  }
}

/**
 * libpq's form of a cluster, `h1:5432,h2:5432`, which the URL standard does not know. `first` is the URL with the first host alone.
 * https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-MULTIPLE-HOSTS
 */
function split(url: string): { first: string; others: Pick<Host, 'host' | 'port'>[] } {
  const [, before = '', listed = '', after = ''] = /^([^/]*\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s.exec(url) ?? []
  const [first = '', ...others] = listed.split(',')
  if (others.length === 0) return { first: url, others: [] }
  return {
    first: before + first + after,
    others: others.map((each) => {
      const parsed = parse(`postgresql://${each}`)
      if (parsed.hostname === '')
        throw config('The postgres:// URL has an empty host between two commas. Remove one comma.')
      return { host: nameOf(parsed), port: portOf(parsed) }
    }),
  }
}

const addressOf = ({ host, port = 5432 }: Pick<Host, 'host' | 'port'>): string => `${host}:${port}`

/** A host that is named twice counts once. */
const distinct = (hosts: readonly Pick<Host, 'host' | 'port'>[]): Pick<Host, 'host' | 'port'>[] =>
  [...new Map(hosts.map((each) => [addressOf(each), each] as const).toReversed()).values()].toReversed()

const nameOf = ({ hostname }: URL): string => decoded(hostname).replace(/^\[(.*)\]$/, '$1')
const portOf = ({ port }: URL): number | undefined => (port === '' ? undefined : Number(port))

/** Replicas refuse SERIALIZABLE: a store needs the primary. */
function checkAttributes(asked: string | null): void {
  if (asked === null || asked === 'read-write' || asked === 'primary') return
  throw config(
    'The parameter target_session_attrs of the URL is wrong. Give read-write or primary: replicas cannot be used.',
  )
}

function poolModeOf(said: string | null): PostgresTarget['poolMode'] {
  if (said === null) return 'session'
  if (said === 'session' || said === 'transaction') return said
  throw config('The parameter pool_mode of the URL is wrong. Give session or transaction.')
}

function parse(url: string): URL {
  try {
    // The scheme postgresql: allows an empty host, which a socket named by a parameter needs.
    return new URL(url.replace(/^postgres(ql)?:/i, 'postgresql:'))
  } catch {
    // Node's error would quote the URL.
    throw config('The postgres:// URL cannot be read. Percent-encode special characters in user and password.')
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw config('The postgres:// URL has a % that begins no percent-encoding. Write it as %25.')
  }
}

const present = (text: string): string | undefined => (text === '' ? undefined : text)

function numberOf(
  parameters: URLSearchParams,
  name: string,
  range: { readonly least: number; readonly most: number; readonly usual: number },
): number {
  const text = parameters.get(name)
  if (text === null) return range.usual
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= range.least && value <= range.most) return value
  throw config(`The parameter ${name} of the URL is wrong. Give an integer from ${range.least} to ${range.most}.`)
}

/** The servers' addresses, in a fixed order, and the database, without user and password. */
export const placeOf = ({ hosts, database, user }: PostgresTarget): string =>
  `${hosts.map(addressOf).sort().join()}/${database ?? user ?? ''}`

const isLocal = (host: string): boolean =>
  host.startsWith('/') || host === 'localhost' || host === '::1' || /^127(\.\d+){3}$/.test(host)

/**
 * Unless the URL says otherwise, a server that is not local needs TLS with a verified certificate for its name. `require` verifies
 * too: an unverified certificate proves nothing.
 */
function sslOf(parameters: URLSearchParams, host: string): PostgresTarget['ssl'] {
  const withFiles = ['sslrootcert', 'sslcert', 'sslkey'].some((name) => parameters.has(name))
  const mode = parameters.get('sslmode') ?? (isLocal(host) && !withFiles ? 'disable' : 'verify-full')
  if (mode === 'disable') {
    if (withFiles) throw config('sslmode=disable and certificates contradict each other. Remove one of them.')
    return false
  }
  const files = {
    ...fileOf(parameters, 'sslrootcert', 'ca'),
    ...fileOf(parameters, 'sslcert', 'cert'),
    ...fileOf(parameters, 'sslkey', 'key'),
  }
  if (mode === 'require' || mode === 'verify-ca' || mode === 'verify-full')
    return { rejectUnauthorized: true, ...files }
  if (mode === 'no-verify') return { rejectUnauthorized: false, ...files }
  throw config(
    'The parameter sslmode is wrong. Give disable, require, verify-ca, verify-full (all three verify fully) or no-verify.',
  )
}

function fileOf<K extends string>(parameters: URLSearchParams, name: string, option: K): { [P in K]?: string } {
  const path = parameters.get(name)
  if (path === null) return {}
  try {
    return { [option]: readFileSync(path, 'utf8') } as { [P in K]?: string }
  } catch (cause) {
    throw config(`The file that ${name} names cannot be read. Check its path, owner and mode.`, cause)
  }
}
