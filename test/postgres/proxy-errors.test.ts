/** Errors of a proxy that loses the server behind it: PgBouncer has one SQLSTATE for all that happens to it. */
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { openStorage, type StorageOptions } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { node } from '../support/samples.ts'
import { createDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

const said = ['SFATAL', 'VFATAL', 'C08P01', 'Mserver conn crashed?'].map((field) => `${field}\0`).join('')
const length = Buffer.alloc(4)
length.writeUInt32BE(4 + said.length + 1)
const CRASHED = Buffer.concat([Buffer.from('E'), length, Buffer.from(`${said}\0`)])

/** Passes the next message on that holds the text, and says that instead of the answer. */
class CrashingProxy implements AsyncDisposable {
  losing: string | undefined
  readonly #target: URL
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((client) => this.#serve(client))

  constructor(url: string) {
    this.#target = new URL(url)
  }

  async url(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const url = new URL(this.#target)
    const address = this.#server.address()
    if (address !== null && typeof address === 'object') url.host = `127.0.0.1:${address.port}`
    return url.href
  }

  #serve(client: Socket): void {
    const server = connect(Number(this.#target.port), this.#target.hostname)
    let lost = false
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        server.destroy()
      })
    }
    client.on('data', (message) => {
      if (this.losing !== undefined && message.includes(this.losing)) {
        lost = true
        this.losing = undefined
      }
      server.write(message)
    })
    server.on('data', (answer) => {
      if (lost) client.end(CRASHED)
      else client.write(answer)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}

describePostgres('a server that is lost behind its proxy', () => {
  test.each(['session', 'transaction'] as const)(
    'in mode %s',
    async (mode: NonNullable<StorageOptions['pool']>['mode']) => {
      await using database = await createDatabase()
      await using proxy = new CrashingProxy(database.url)
      await using store = await openStorage({ url: await proxy.url(), pool: { mode, max: 1 } })
      await store.nodes.create(node('a'))

      // Nothing can have been stored before COMMIT was sent: it is run again.
      proxy.losing = 'again'
      expect((await store.nodes.update('a', { protocols: ['again'] })).protocols).toEqual(['again'])
      expect(proxy.losing).toBe(undefined)
      // It was carried out.
      proxy.losing = 'COMMIT\0'
      await expectCode(store.nodes.update('a', { protocols: ['single'] }), 'OUTCOME_UNKNOWN')
      expect((await store.nodes.get('a'))?.protocols).toEqual(['single'])
      proxy.losing = 'COMMIT\0'
      await expectCode(
        store.transaction((tx) => tx.nodes.create(node('b'))),
        'OUTCOME_UNKNOWN',
      )
      expect(await store.nodes.get('b')).toBeDefined()

      // Nothing of it was.
      proxy.losing = 'BEGIN'
      const { retryable } = await expectCode(
        store.transaction((tx) => tx.nodes.create(node('c'))),
        'UNAVAILABLE',
      )
      expect(retryable).toBe(true)
      expect(await store.nodes.get('c')).toBeUndefined()
      proxy.losing = 'inside'
      await expectCode(
        store.transaction((tx) => tx.nodes.create(node('inside'))),
        'UNAVAILABLE',
      )
      expect(await store.nodes.get('inside')).toBeUndefined()

      // A read is asked again.
      proxy.losing = mode === 'session' ? 'a' : 'COMMIT\0'
      expect((await store.nodes.get('a'))?.nodeId).toBe('a')

      // No settings are asked for then, which could be refused: it has no server for a new connection.
      if (mode === 'session') return
      proxy.losing = 'BEGIN'
      await expectCode(
        store.transaction((tx) => tx.nodes.count()),
        'UNAVAILABLE',
      )
      proxy.losing = 'user\0'
      expect((await expectCode(store.nodes.get('a'), 'UNAVAILABLE')).retryable).toBe(true)
    },
  )
})
