/** The meaning of a postgres:// URL, and the errors for an unusable one, which show no part of it but a parameter's name. */
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type PostgresTarget, placeOf } from '../../src/database/postgres/url.ts'
import { openStorage } from '../../src/index.ts'
import { databaseOf } from '../../src/open/config.ts'
import { expectCode } from '../support/expectations.ts'
import { temporaryFolder } from '../support/folders.ts'

const VERIFIED = { rejectUnauthorized: true }
const UNVERIFIED = { rejectUnauthorized: false }

describe('a postgres:// URL', () => {
  test.for([
    ['postgres://db.example/mesh', VERIFIED],
    ['postgres://192.0.2.7/mesh', VERIFIED],
    ['postgres://[2001:db8::1]/mesh', VERIFIED],
    ['postgres://localhost.example/mesh', VERIFIED],
    ['postgres://127.example/mesh', VERIFIED],
    ['postgres://db.example/mesh?sslmode=require', VERIFIED],
    ['postgres://db.example/mesh?sslmode=verify-ca', VERIFIED],
    ['postgres://db.example/mesh?sslmode=verify-full', VERIFIED],
    ['postgres://db.example/mesh?sslmode=no-verify', UNVERIFIED],
    ['postgres://db.example/mesh?sslmode=disable', false],
    ['postgres://localhost/mesh', false],
    ['postgres://127.0.0.1/mesh', false],
    ['postgres://127.1.2.3/mesh', false],
    ['postgres://[::1]/mesh', false],
    ['postgres:///mesh', false],
    ['postgres:///mesh?host=/var/run/postgresql', false],
    ['postgres://localhost/mesh?sslmode=require', VERIFIED],
    ['postgres://127.0.0.1/mesh?sslmode=no-verify', UNVERIFIED],
  ] as const)('%s: TLS %o', ([url, ssl]) => {
    expect(databaseOf(url)).toMatchObject({ dialect: 'postgresql', database: 'mesh', ssl })
  })

  test('has its parts decoded', () => {
    expect(databaseOf('postgresql://me%40home:p%3A%2F%20%25@db.example:6543/my%20mesh?application_name=api')).toEqual(
      expect.objectContaining({
        host: 'db.example',
        port: 6543,
        user: 'me@home',
        password: 'p:/ %',
        database: 'my mesh',
        applicationName: 'api',
      }),
    )
    expect(databaseOf('postgres://[2001:db8::1]:5433/mesh')).toMatchObject({ host: '2001:db8::1', port: 5433 })
    expect(databaseOf('POSTGRES:///mesh?host=/run/pg')).toMatchObject({ host: '/run/pg', database: 'mesh' })
    expect(databaseOf('postgres://db.example')).toMatchObject({ port: undefined, user: undefined, database: undefined })
  })

  test('names the pool mode of a proxy', () => {
    expect(databaseOf('postgres://db.example/mesh')).toMatchObject({ poolMode: 'session' })
    expect(databaseOf('postgres://db.example/mesh?pool_mode=session')).toMatchObject({ poolMode: 'session' })
    expect(databaseOf('postgres://db.example/mesh?pool_mode=transaction')).toMatchObject({ poolMode: 'transaction' })
  })

  test('names several hosts, each with its port and its own TLS', () => {
    const url = 'postgres://me:a,b@db1.example:6543,[2001:db8::1],127.0.0.1:5433/mesh?target_session_attrs=read-write'
    const target = databaseOf(url)
    expect(target).toMatchObject({
      host: 'db1.example',
      port: 6543,
      password: 'a,b',
      database: 'mesh',
      hosts: [
        { host: 'db1.example', port: 6543, ssl: VERIFIED },
        { host: '2001:db8::1', port: undefined, ssl: VERIFIED },
        { host: '127.0.0.1', port: 5433, ssl: false },
      ],
    })
    expect(databaseOf('postgres://db.example/mesh')).toMatchObject({ hosts: [{ host: 'db.example' }] })
  })

  test('counts a host once that it names twice', () => {
    const hosts = (url: string): unknown =>
      (databaseOf(url) as PostgresTarget).hosts.map(({ host, port }) => [host, port])
    expect(hosts('postgres://h1,h2:5433,h1:5432,h2:5433,h2/mesh')).toEqual([
      ['h1', undefined],
      ['h2', 5433],
      ['h2', undefined],
    ])
    expect(hosts('postgres://h1,h1/mesh')).toEqual([['h1', undefined]])
  })

  test('is printed with its hosts in a fixed order, and without user and password', () => {
    const [one, other] = ['h2:5433,h1', 'h1:5432,h2:5433'].map((hosts) =>
      databaseOf(`postgres://me:secret@${hosts}/mesh`),
    )
    expect([one, other].map((each) => placeOf(each as PostgresTarget))).toEqual([
      'h1:5432,h2:5433/mesh',
      'h1:5432,h2:5433/mesh',
    ])
  })

  test('names the files of certificates', () => {
    using folder = temporaryFolder()
    // Any file does: what is in it is the server's and Node's business.
    const file = new URL(import.meta.url).pathname
    const target = databaseOf(`postgres://db.example/mesh?sslrootcert=${file}&sslcert=${file}&sslkey=${file}`)
    expect(Object.keys('ssl' in target ? target.ssl : {}).toSorted()).toEqual([
      'ca',
      'cert',
      'key',
      'rejectUnauthorized',
    ])
    expect(() => databaseOf(`postgres://db.example/mesh?sslrootcert=${folder.file('missing.pem')}`)).toThrow(
      /sslrootcert/,
    )
  })
})

const SECRETS = ['hunter2', 'the-user', 'the-host', 'the-base', 'the-value']
const AT = 'the-user:hunter2@the-host'

describe('a postgres:// URL that cannot be used', () => {
  test.for([
    [`postgres://${AT}/the-base?sslmode=prefer`, 'sslmode'],
    [`postgres://${AT}/the-base?sslmode=allow`, 'sslmode'],
    [`postgres://${AT}/the-base?sslmode=the-value`, 'sslmode'],
    [`postgres://${AT}/the-base?sslmode=`, 'sslmode'],
    [`postgres://${AT}/the-base?ssl=the-value`, 'ssl'],
    [`postgres://${AT}/the-base?options=-c%20the-value`, 'options'],
    [`postgres://${AT}/the-base?password=hunter2`, 'password'],
    [`postgres://${AT}/the-base?SSLMODE=disable`, 'SSLMODE'],
    [`postgres://${AT}/the-base?sslrootcert=/the-value/missing.pem`, 'sslrootcert'],
    [`postgres://${AT}/the-base?connect_timeout=the-value`, 'connect_timeout'],
    [`postgres://${AT}/the-base?statement_timeout=-1`, 'statement_timeout'],
    [`postgres://${AT}/the-base?pool_mode=the-value`, 'pool_mode'],
    [`postgres://${AT}:99999/the-base`, 'URL'],
    [`postgres://${AT}:port/the-base`, 'URL'],
    ['postgres://the-user:hunter2%@the-host/the-base', '%25'],
    ['postgres://the-user:hunter2%zz@the-host/the-base', '%25'],
    ['postgres://the-user:hun/ter2@the-host/the-base', 'URL'],
    ['postgres://the-user:hunter2@the host/the-base', 'URL'],
    [`postgres://${AT},/the-base`, 'host'],
    [`postgres://${AT},,h2/the-base`, 'host'],
    [`postgres://${AT},h2:port/the-base`, 'URL'],
    [`postgres://${AT},h2/the-base?host=/run`, 'host'],
    ['postgres:///the-base?host=the-host,h2', 'host'],
    [`postgres://${AT},h2/the-base?target_session_attrs=standby`, 'target_session_attrs'],
    ['mysql://the-user:hunter2@the-host/the-base', 'mysql:'],
  ] as const)('%s is refused by name', async ([url, names]) => {
    const error = await expectCode(openStorage(url), 'CONFIG')
    expect(error.message).toContain(names)
    const shown = [error.message, error.stack, String(error), JSON.stringify(error)].join('\n')
    const inspected = inspect(error, { depth: 20, showHidden: true, getters: false })
    for (const secret of SECRETS.filter((each) => each !== 'the-value')) {
      expect(shown.includes(secret) || inspected.includes(secret), secret).toBe(false)
    }
  })
})
