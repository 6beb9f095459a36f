/** `GET /changes`: what anybody changes, as it happens, and from where a client was. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { eventually } from '../../../test/postgres/support/eventually.ts'
import { eachLastingBackend } from '../../../test/support/settings.ts'
import { start } from './support/child.ts'
import { type Event, Events } from './support/events.ts'
import { OWN, type Serving, serving } from './support/serving.ts'
import { abilene, topologyOf } from './support/topologies.ts'

const node = (nodeId: string) => ({ nodeId, interfaces: [], protocols: [] })
const words = ({ event, data }: Event): string =>
  [event, data.operation, data.table, data.key].filter(Boolean).join(' ')
const MANUAL = { pathCache: { invalidation: 'manual' } } as const

async function listeners({ client }: Serving): Promise<number> {
  const { body } = await client.ask<string>('GET', '/metrics')
  return Number(/^mesh_api_listeners (\d+)$/m.exec(body)?.[1])
}

/** A client that says, again and again, all that it has heard. */
function listener({ client }: Serving, hear: (heard: string) => void): Socket {
  let heard = ''
  const socket = connect(Number(new URL(client.base).port), '127.0.0.1')
  socket.setEncoding('utf8').on('error', () => {})
  socket.on('data', (text: string) => {
    heard += text
    hear(heard)
  })
  socket.write('GET /changes HTTP/1.1\r\nHost: localhost\r\n\r\n')
  return socket
}

/** As it is sent, with its length before it. */
const HEARTBEAT = '3\r\n:\n\n\r\n'
const OFTEN = { heartbeatMs: 20 }
const NEVER = { heartbeatMs: 2 ** 31 - 1 }

eachLastingBackend('changes of the mesh API', (backend) => {
  test('are told to everybody who listens, whoever makes them', async () => {
    // No link goes with the node.
    await using served = await serving(backend, topologyOf([], { nodeIds: ['abilene-3'] }), MANUAL)
    const { client, opened } = served
    await using first = await Events.from(client.base)
    await using second = await Events.from(client.base)
    expect(first.headers['content-type']).toBe('text/event-stream')
    for (const each of [first, second]) expect((await each.take(1)).map(words)).toEqual(['ready'])
    expect(await listeners(served)).toBe(2)
    await client.ask('PATCH', '/mesh/nodes/abilene-3', { body: { started: false } })
    await client.ask('POST', '/policies', { body: { policy_id: 'p', yaml_content: 'rules: []\n' } })
    const others = await opened.openAgain()
    await others.nodes.delete('abilene-3')
    await others.pathCache.invalidate({ source: 'a' })
    for (const each of [first, second]) {
      const events = await each.take(4)
      expect(events.map(words)).toEqual([
        'change update nodes abilene-3',
        'change insert policies p',
        'change delete nodes abilene-3',
        'change invalidate path_cache',
      ])
      expect(events.at(-1)?.data).toEqual({ table: 'path_cache', operation: 'invalidate', paths: { source: 'a' } })
    }
  })

  test('are told from the last id on; one that is not known is told that some were missed', async () => {
    await using served = await serving(backend, abilene(), MANUAL)
    const { client, store } = served
    const first = await Events.from(client.base)
    const [ready] = await first.take(1)
    await store.nodes.create(node('a'))
    const [heard] = await first.take(1)
    await first[Symbol.asyncDispose]()
    await eventually('it has left', async () => (await listeners(served)) === 0)
    await store.nodes.create(node('b'))
    await store.nodes.create(node('c'))
    const after = async (id: string | undefined, count: number): Promise<string[]> => {
      await using events = await Events.from(client.base, id)
      return (await events.take(count)).map(words)
    }
    // The application reads on for a while without a client.
    expect(await after(heard?.id, 3)).toEqual(['ready', 'change insert nodes b', 'change insert nodes c'])
    expect(await after(ready?.id, 4)).toEqual([
      'ready',
      'change insert nodes a',
      'change insert nodes b',
      'change insert nodes c',
    ])
    for (const unknown of ['nonsense', `${'0'.repeat(36)}~7`]) {
      expect(await after(unknown, 2)).toEqual(['ready', 'missed'])
    }
    // A first client's that is unknown, too.
    await using another = await serving(backend, abilene(), MANUAL)
    await using events = await Events.from(another.client.base, heard?.id)
    expect((await events.take(2)).map(words)).toEqual(['ready', 'missed'])
    await another.store.nodes.create(node('d'))
    expect((await events.take(1)).map(words)).toEqual(['change insert nodes d'])
  })

  test('go on where a server was that has been started again', async () => {
    await using opened = await backend.open({ ...MANUAL, ...OWN })
    const from = ['--url', opened.url, '--empty']
    let last: Event | undefined
    for (const [turn, signal] of (['SIGTERM', 'SIGKILL'] as const).entries()) {
      await using server = await start(...from)
      await using events = await Events.from(server.base, last?.id)
      await events.take(1)
      if (last !== undefined) expect((await events.take(1)).map(words)).toEqual([`change insert nodes between-${turn}`])
      await opened.store.nodes.create(node(`n-${turn}`))
      ;[last] = await events.take(1)
      expect(last && words(last)).toBe(`change insert nodes n-${turn}`)
      const ended = server.end(signal)
      if (signal === 'SIGTERM') {
        expect(await events.next()).toBeUndefined()
        expect(await ended).toEqual({ code: 0, signal: null })
      } else await ended
      await opened.store.nodes.create(node(`between-${turn + 1}`))
    }
    await using server = await start(...from)
    await using events = await Events.from(server.base, last?.id)
    expect((await events.take(2)).map(words)).toEqual(['ready', 'change insert nodes between-2'])
  })

  test('are not kept for a client that takes in nothing', async () => {
    await using served = await serving(backend, abilene(), MANUAL)
    const { client, store } = served
    await using quick = await Events.from(client.base)
    await quick.take(1)
    const slow = connect(Number(new URL(client.base).port), '127.0.0.1')
    slow.on('error', () => {})
    slow.pause()
    slow.write('GET /changes HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await eventually('it listens', async () => (await listeners(served)) === 2)
    // Some MiB of events: the connection's own buffers hold a few.
    const long = Array.from({ length: 500 }, (_, index) => node(`${index}-${'x'.repeat(200)}`))
    const reading = (async () => {
      for (;;) if ((await quick.next())?.data.key === 'the-last') return
    })()
    while ((await listeners(served)) === 2) await store.nodes.saveMany(long)
    expect(await listeners(served)).toBe(1)
    await store.nodes.create(node('the-last'))
    await reading
    slow.destroy()
    await once(slow, 'close')
  })
  test('are followed by heartbeats while there are none', async () => {
    await using served = await serving(backend, abilene(), MANUAL, OFTEN)
    let heard = ''
    const socket = listener(served, (all) => {
      heard = all
    })
    const beats = (): number => heard.split(HEARTBEAT).length - 1
    await eventually('there are some', () => beats() >= 3)
    expect(heard.match(/event: \w+/g)).toEqual(['event: ready'])
    await served.store.nodes.create(node('a'))
    await eventually('it is told in between', () => heard.includes('event: change'))
    const before = beats()
    await eventually('they go on', () => beats() > before)
    // To a client they are nothing.
    await using events = await Events.from(served.client.base)
    await events.take(1)
    await eventually('it has had some, too', () => beats() > before + 3)
    await served.store.nodes.create(node('b'))
    expect((await events.take(1)).map(words)).toEqual(['change insert nodes b'])
    socket.destroy()
  })

  test.each([
    ['at the next heartbeat', OFTEN, HEARTBEAT],
    // The heartbeat is what it takes.
    ['without heartbeats when something is changed, and not before', NEVER, 'event: change'],
  ])('are no longer kept for a client that has gone without a word, %s', async (_, how, next) => {
    await using served = await serving(backend, abilene(), MANUAL, how)
    // As a machine that was started again: it knows of no such connection.
    const socket = listener(served, (heard) => heard.includes(next) && socket.resetAndDestroy())
    const gone = once(socket, 'close')
    if (how === NEVER) {
      await eventually('it listens', async () => (await listeners(served)) === 1)
      for (let turn = 0; turn < 20; turn++) expect(await listeners(served)).toBe(1)
      await served.store.nodes.create(node('a'))
    }
    await gone
    await eventually('it is noticed', async () => (await listeners(served)) === 0)
  })
})
