/** Hosts as users write them: in any order, some of them wrong or mute, two proxies to one server, and settings in the URL. */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { beforeAll, describe, expect, test } from 'vitest'
import { openStorage, type StorageError } from '../../src/index.ts'
import { createDatabase, type TestDatabase } from '../postgres/support/database.ts'
import { hasPgBouncer, pgBouncer } from '../postgres/support/pgbouncer.ts'
import { FaultyProxy } from '../postgres/support/proxy.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { node } from '../support/samples.ts'
import { notTested, shows } from './shown.ts'

/** Nothing listens there. */
const REFUSES = '127.0.0.1:1'
/** RFC 2606 keeps this name free for ever. */
const UNRESOLVED = 'meshstore.invalid:5432'
const PLAIN = 'sslmode=disable'

const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))

const hostOf = (url: string): string => new URL(url).host

/** The URL with these hosts. */
function urlOf(database: TestDatabase, hosts: readonly string[], parameters = ''): string {
  const { href, host } = new URL(database.url)
  return `${href.replace(host, hosts.join())}${parameters && `?${parameters}`}`
}

/** Single calls, gathered ones and transactions, all of which must be done once. */
async function works(url: string): Promise<void> {
  await using store = await openStorage(url)
  const run = crypto.randomUUID()
  const keys = Array.from({ length: 20 }, (_, at) => `${run}-${at}`)
  await store.nodes.create(node(run))
  await Promise.all(keys.map((key) => store.nodes.create(node(key))))
  await Promise.all(keys.map(() => store.nodes.recordRoutes(run)))
  await store.transaction((tx) => tx.nodes.recordRoutes(run))
  expect((await store.nodes.get(run))?.routesDiscovered).toBe(keys.length + 1)
  expect((await store.nodes.getMany(keys)).length).toBe(keys.length)
}

/** Accepts connections, and does with them what it is told. */
async function listener(
  at: '127.0.0.1' | '[::1]',
  take: (socket: Socket) => void,
): Promise<{ readonly host: string } & Disposable> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    take(socket)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, at.replace(/[[\]]/g, ''), resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return {
    host: `${at}:${port}`,
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

describePostgres('a list of hosts', () => {
  let server: PostgresServer
  let database: TestDatabase
  beforeAll(async () => {
    server = await startPostgres()
    database = await createDatabase(server.url('postgres'))
    return async () => {
      await database[Symbol.asyncDispose]()
      await server.stop()
    }
  })
  const here = (): string => hostOf(database.url)

  describe.for([
    ['a host that refuses', REFUSES],
    ['a name without an address', UNRESOLVED],
    ['the same host again', undefined],
    ['an IPv6 address where nothing listens', '[::1]:1'],
  ] as const)('with %s', ([_, other]) => {
    test.for(['first', 'last'])('%s', async (place) => {
      const hosts = [other ?? here(), here()]
      await works(urlOf(database, place === 'first' ? hosts : hosts.toReversed(), PLAIN))
    })
  })

  if (!hasIPv6) notTested('a host with an IPv6 address', 'This machine has no ::1')
  test.skipIf(!hasIPv6)('with an IPv6 address, first and last', async () => {
    const { hostname, port } = new URL(database.url)
    const pass = (socket: Socket): void => {
      const there = connect(Number(port), hostname).on('error', () => socket.destroy())
      socket.pipe(there).pipe(socket)
      socket.on('close', () => there.destroy())
    }
    using sixth = await listener('[::1]', pass)
    await works(urlOf(database, [sixth.host, REFUSES]))
    await works(urlOf(database, [REFUSES, sixth.host]))
  })

  test('with a host that accepts and never answers, first and last', async () => {
    using silent = await listener('127.0.0.1', () => {})
    await works(urlOf(database, [silent.host, here()]))
    await works(urlOf(database, [here(), silent.host]))
    const refused = await openStorage(urlOf(database, [silent.host, REFUSES], 'connect_timeout=1')).catch(
      (error: unknown) => error as StorageError,
    )
    expect(refused).toMatchObject({
      code: 'UNAVAILABLE',
      message: `No primary was found: ${silent.host} failed (no answer); ${REFUSES} failed (ECONNREFUSED). Nothing was written. Check the cluster, then try again.`,
    })
  })

  test('without any name that has an address, the opening says so', async () => {
    await expect(
      openStorage(urlOf(database, [UNRESOLVED, 'another.invalid'], `${PLAIN}&connect_timeout=1`)),
    ).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringMatching(/host 1 of the URL failed.*host 2/) })
  })

  test('a wrong password is named, also while another host is away', async () => {
    const wrong = (hosts: readonly string[]) => {
      const url = urlOf(database, hosts, 'connect_timeout=1')
      return openStorage(url.replace(/:[^:@]*@/, ':wrong@'))
    }
    await expect(wrong([here(), REFUSES])).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(`${here()} failed (28P01: The server refused the user or the password)`),
    })
    // No wait can help.
    await using proxy = await FaultyProxy.before(database.url)
    await expect(wrong([here(), hostOf(proxy.url)])).rejects.toMatchObject({ code: 'CONFIG' })
  })

  test('user and password may hold any character', async () => {
    const [user, password] = [`o'dd,us@er/?#%:[]`, `p,a/s?s#w@o:r d%[]\\"'`]
    await server.ask(`CREATE ROLE "${user}" LOGIN SUPERUSER PASSWORD '${password.replaceAll("'", "''")}'`)
    const url = new URL(database.url)
    const account = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`
    await works(`postgres://${account}@${REFUSES},${url.host}${url.pathname}`)
    // A comma need not be encoded.
    await works(`postgres://${account.replaceAll('%2C', ',')}@${url.host},${REFUSES}${url.pathname}`)
  })

  test('settings in the URL hold on each host', async () => {
    await using store = await openStorage(
      urlOf(database, [REFUSES, here()], 'statement_timeout=12345&application_name=listed'),
    )
    await store.nodes.count()
    const [row] = await server.ask(
      `SELECT count(*) AS sessions FROM pg_stat_activity WHERE application_name = 'listed' AND datname = '${database.name}'`,
    )
    expect(Number(row?.sessions)).toBeGreaterThan(0)
  })

  /** Each attempt at an insert of this row takes a number, and three seconds. */
  const SLOW = `
    CREATE SEQUENCE attempts;
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN PERFORM nextval('attempts'), pg_sleep(3); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON nodes FOR EACH ROW WHEN (NEW.node_id = 'slow') EXECUTE FUNCTION slow()`

  async function takesLong(urls: readonly string[], parameters = ''): Promise<void> {
    await using own = await createDatabase(server.url('postgres'))
    await (await openStorage(own.url)).close()
    await own.query(SLOW)
    const hosts = urls.map(hostOf)
    await using store = await openStorage(urlOf(own, hosts, parameters))
    await store.nodes.create(node('slow'))
    const [row] = await own.query<{ attempts: string }>('SELECT last_value AS attempts FROM attempts')
    expect(Number(row?.attempts)).toBe(1)
  }

  test('two proxies to one server: a write that takes three seconds is not taken for silence', async () => {
    await using one = await FaultyProxy.before(database.url)
    await using other = await FaultyProxy.before(database.url)
    await takesLong([one.url, other.url])
    shows('two proxies to one server: a write of 3 s is carried out once')
  })

  if (!hasPgBouncer) notTested('two PgBouncers', 'The package pgbouncer is not installed')
  test.skipIf(!hasPgBouncer)('two PgBouncers to one server, in transaction mode', async () => {
    await using one = await pgBouncer(database.url)
    await using other = await pgBouncer(database.url)
    const hosts = [one.url, other.url].map(hostOf)
    await works(urlOf(database, hosts, 'pool_mode=transaction'))
    await works(urlOf(database, [REFUSES, ...hosts.toReversed()], 'pool_mode=transaction&statement_timeout=5000'))
    await takesLong([one.url, other.url], 'pool_mode=transaction')
  })
})
