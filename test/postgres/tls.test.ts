/** A server that speaks TLS with a certificate of its own making, and one that does not speak it at all. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { createDatabase, type TestDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

/** As whom a server runs that root starts. */
const NOBODY = 65_534

function hasOpenssl(): boolean {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn('!! There is no openssl command here: no TLS connection is tested.')
    return false
  }
}

/** A certificate that names what it is for, signed by itself, and its key. */
function makeCertificate(folder: TemporaryFolder, name: string, subject: string): { cert: string; key: string } {
  const [cert, key] = [folder.file(`${name}.crt`), folder.file(`${name}.key`)]
  const request = ['req', '-new', '-x509', '-nodes', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  const out = ['-days', '2', '-subj', '/CN=meshstore-test', '-addext', `subjectAltName=${subject}`]
  execFileSync('openssl', [...request, ...out, '-out', cert, '-keyout', key], { stdio: 'ignore' })
  chmodSync(key, 0o600)
  if (process.getuid?.() === 0) chownSync(key, NOBODY, NOBODY)
  return { cert, key }
}

const withParameters = (url: string, parameters: Record<string, string>): string => {
  const changed = new URL(url)
  for (const [name, value] of Object.entries(parameters)) changed.searchParams.set(name, value)
  return changed.href
}

const available = process.env.DIALECTS === 'sqlite' || hasOpenssl()

describePostgres('TLS', () => {
  if (!available) {
    test.skip('needs the openssl command', () => {})
    return
  }
  let folder: TemporaryFolder
  let server: PostgresServer
  let database: TestDatabase
  let certificate: string

  beforeAll(async () => {
    folder = temporaryFolder()
    chmodSync(folder.path, 0o755)
    const { cert, key } = makeCertificate(folder, 'server', 'IP:127.0.0.1')
    server = await startPostgres(['ssl=on', `ssl_cert_file=${cert}`, `ssl_key_file=${key}`])
    database = await createDatabase(server.url('postgres'))
    certificate = cert
  })
  afterAll(async () => {
    await database?.[Symbol.asyncDispose]()
    await server?.stop()
    folder[Symbol.dispose]()
  })

  /** Whether the store's connections are encrypted. */
  async function encrypted(on: TestDatabase, parameters: Record<string, string>): Promise<boolean | undefined> {
    await using store = await openStorage(withParameters(on.url, parameters))
    await store.nodes.count()
    const [row] = await on.query<{ ssl: boolean }>(
      `SELECT DISTINCT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
       WHERE a.application_name = 'meshstore' AND a.datname = $1`,
      [on.name],
    )
    return row?.ssl
  }

  test.for(['require', 'verify-ca', 'verify-full'])(
    'sslmode=%s refuses a certificate that nobody vouches for',
    async (sslmode) => {
      const error = await expectCode(openStorage(withParameters(database.url, { sslmode })), 'CONFIG')
      expect(error.retryable).toBe(false)
      expect(error.message).toMatch(/certificate .*sslrootcert=/)
    },
  )

  test.for(['require', 'verify-ca', 'verify-full'])(
    'sslmode=%s takes one whose authority is named',
    async (sslmode) => {
      expect(await encrypted(database, { sslmode, sslrootcert: certificate })).toBe(true)
    },
  )

  test.for(['require', 'verify-ca', 'verify-full'])(
    'sslmode=%s refuses one that was made for another host',
    async (sslmode) => {
      // The certificate names the address alone.
      const url = new URL(withParameters(database.url, { sslmode, sslrootcert: certificate }))
      url.hostname = 'localhost'
      const error = await expectCode(openStorage(url.href), 'CONFIG')
      expect(error.message).toContain('certificate')
    },
  )

  test('of several hosts each is verified for its own name', async () => {
    const { host, port } = new URL(database.url)
    const named = (hosts: string): string =>
      withParameters(database.url, { sslmode: 'verify-full', sslrootcert: certificate, connect_timeout: '1' }).replace(
        host,
        hosts,
      )
    // The certificate names the address alone.
    for (const hosts of [`localhost:${port},${host}`, `${host},localhost:${port}`]) {
      await using store = await openStorage(named(hosts))
      expect(await store.nodes.count()).toBe(0)
    }
    const error = await expectCode(openStorage(named(`localhost:${port},127.0.0.1:1`)), 'UNAVAILABLE')
    expect(error.message).toMatch(/certificate cannot be trusted/)
  })

  test('sslmode=no-verify takes any, and sslmode=disable none', async () => {
    expect(await encrypted(database, { sslmode: 'no-verify' })).toBe(true)
    expect(await encrypted(database, { sslmode: 'disable' })).toBe(false)
  })

  test('a server that is not local is not spoken to in clear, unless the URL says so', async () => {
    const plain = await startPostgres()
    try {
      await using there = await createDatabase(plain.url('postgres'))
      for (const sslmode of ['require', 'verify-full', 'no-verify']) {
        const error = await expectCode(openStorage(withParameters(there.url, { sslmode })), 'CONFIG')
        expect(error.message).toContain('sslmode=disable')
      }
      expect(await encrypted(there, { sslmode: 'disable' })).toBe(false)
    } finally {
      await plain.stop()
    }
  })
})
