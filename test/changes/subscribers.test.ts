/** Subscribers: where one resumes, when it is told that it missed changes, and how it ends. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type Changes, type Meshstore, openStorage } from '../../src/index.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { expectCode } from '../support/expectations.ts'
import { node, numbered } from '../support/samples.ts'
import { eachBackend, eachLastingBackend } from '../support/settings.ts'
import { emptied, logOf } from './support/log.ts'
import { committed, subscribed, take, words } from './support/reading.ts'

eachBackend('subscribers', (backend) => {
  test('go on behind a token, be it of ready() or of a change, however often', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const first = store.changes()
    const start = await first.ready()
    for (const nodeId of ['a', 'b', 'c']) await store.nodes.create(node(nodeId))
    const seen = await take(first, 3)
    const after = async (token: string | undefined): Promise<string[]> => {
      const changes = store.changes({ after: token })
      return (await take(changes, 3 - seen.findIndex((change) => change.token === token) - 1)).map(words)
    }
    expect(await after(start)).toEqual(['insert nodes a', 'insert nodes b', 'insert nodes c'])
    expect(await after(start)).toEqual(['insert nodes a', 'insert nodes b', 'insert nodes c'])
    expect(await after(seen[0]?.token)).toEqual(['insert nodes b', 'insert nodes c'])
    const last = store.changes({ after: seen[2]?.token })
    await last.ready()
    await store.nodes.create(node('d'))
    expect((await take(last, 1)).map(words)).toEqual(['insert nodes d'])
  })

  test('ready() says where the caller is', async () => {
    await using opened = await backend.open()
    const changes = opened.store.changes()
    const start = await changes.ready()
    await opened.store.nodes.createMany([node('a'), node('b')])
    expect(await changes.ready()).toBe(start)
    const [first] = await take(changes, 1)
    expect(await changes.ready()).toBe(first?.token)
  })

  test('a token that is none is refused, and one of another log is told so', async () => {
    await using opened = await backend.open()
    const { store } = opened
    for (const after of ['', 'x', '~', `${'0'.repeat(36)}~x`, 5 as unknown as string]) {
      expect(() => store.changes({ after })).toThrow(expect.objectContaining({ code: 'VALIDATION' }))
    }
    await expectCode(store.changes({ after: `${'0'.repeat(36)}~1` }).next(), 'CHANGES_MISSED')
    const token = await store.changes().ready()
    const [log = ''] = token.split('~')
    await expectCode(store.changes({ after: `${log.replace(/./, 'g')}~1`.replace('g', '0') }).next(), 'CHANGES_MISSED')
  })

  test('a position that was made up is refused, or told that it is not there', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const [log] = (await store.changes().ready()).split('~')
    for (const position of ['9'.repeat(30), '999999999', '5:3:', '1:2:3/', '/', ':', ',', '999999999:999999999:']) {
      const failure = await store
        .changes({ after: `${log}~${position}` })
        .next()
        .catch((error) => error)
      expect(['VALIDATION', 'CHANGES_MISSED'], position).toContain(failure.code)
    }
  })

  test('options are checked', async () => {
    await using opened = await backend.open()
    for (const options of [{ keepSeconds: 0 }, { keepSeconds: 'x' }, { signal: 1 }, { unknown: 1 }, null]) {
      expect(() => opened.store.changes(options as never)).toThrow(expect.objectContaining({ code: 'VALIDATION' }))
    }
  })

  test('of one that has ended nothing is kept: the log is off, and empty after a sweep', async () => {
    await using opened = await backend.open()
    const { store } = opened
    await store.nodes.create(node('unseen'))
    expect(await logOf(opened)).toEqual({ isOn: false, consumers: 0, changes: 0 })
    const changes = store.changes()
    const token = await changes.ready()
    await store.nodes.create(node('a'))
    expect(await logOf(opened)).toMatchObject({ isOn: true, changes: 1 })
    await changes.return()
    await store.nodes.create(node('b'))
    await emptied(opened)
    expect(await logOf(opened)).toEqual({ isOn: false, consumers: 0, changes: 0 })
    await expectCode(store.changes({ after: token }).next(), 'CHANGES_MISSED')
  })

  test('break, return(), disposal and the signal end it', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const isOn = async (): Promise<boolean> => (await logOf(opened)).isOn
    const ways: Record<string, (changes: Changes, abort: AbortController) => Promise<unknown>> = {
      break: async (changes) => {
        await store.nodes.save(node('a'))
        for await (const _ of changes) break
      },
      return: (changes) => changes.return(),
      disposal: async (changes) => {
        await using _ = changes
      },
      signal: (changes, abort) => {
        const waiting = changes.next()
        abort.abort(new Error('enough'))
        return expect(waiting).rejects.toThrow('enough')
      },
    }
    for (const [name, end] of Object.entries(ways)) {
      const abort = new AbortController()
      const changes = await subscribed(store, { signal: abort.signal })
      expect(await isOn(), name).toBe(true)
      await end(changes, abort)
      expect(await isOn(), name).toBe(false)
      if (name !== 'signal') expect(await changes.next()).toEqual({ done: true, value: undefined })
      else await expect(changes.next()).rejects.toThrow('enough')
      await expect(changes.ready()).rejects.toThrow()
    }
  })

  test('one that has not begun ends, too', async () => {
    await using opened = await backend.open()
    const changes = opened.store.changes()
    await changes.return()
    await expectCode(changes.ready(), 'MISUSE')
    expect(await changes.next()).toEqual({ done: true, value: undefined })
    const aborted = opened.store.changes({ signal: AbortSignal.abort(new Error('enough')) })
    await expect(aborted.next()).rejects.toThrow('enough')
    await expect(aborted.ready()).rejects.toThrow('enough')
  })

  test('whoever waits goes on when closing is refused, as it is inside a transaction', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const changes = store.changes()
    await changes.ready()
    const waiting = changes.next()
    await store.transaction(() => expectCode(store.close(), 'MISUSE'))
    await store.nodes.create(node('a'))
    expect((await waiting).value).toMatchObject({ key: 'a' })
    await changes.return()
  })

  test('whoever waits when the store is closed is told so', async () => {
    await using opened = await backend.open()
    const changes = await subscribed(opened.store)
    const waiting = expectCode(changes.next(), 'CLOSED')
    await opened.store.close()
    await waiting
    await expectCode(changes.next(), 'CLOSED')
    await expectCode(changes.ready(), 'CLOSED')
    await expectCode(opened.store.changes().next(), 'CLOSED')
  })

  test('not inside a transaction, of which they are no part', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const changes = await subscribed(store)
    await store.transaction(async () => {
      await expectCode(store.changes().next(), 'MISUSE')
      await expectCode(store.changes().ready(), 'MISUSE')
      await expectCode(changes.next(), 'MISUSE')
    })
    await store.nodes.create(node('a'))
    expect((await take(changes, 1)).map(words)).toEqual(['insert nodes a'])
  })

  test('several next() at once are answered in turn', async () => {
    await using opened = await backend.open()
    const changes = await subscribed(opened.store)
    const answers = [changes.next(), changes.next(), changes.next()]
    for (const nodeId of ['a', 'b', 'c']) await opened.store.nodes.create(node(nodeId))
    expect((await Promise.all(answers)).map(({ value }) => value?.key)).toEqual(['a', 'b', 'c'])
  })

  test('more than are read at once', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const changes = await subscribed(store)
    const ids = Array.from({ length: 1_201 }, (_, index) => `n-${index}`)
    await store.nodes.createMany(ids.slice(0, 600).map((id) => node(id)))
    await store.nodes.createMany(ids.slice(600).map((id) => node(id)))
    const seen = await committed(changes, store)
    expect([...seen].sort()).toEqual(ids.map((id) => `insert nodes ${id}`).sort())
  })

  test('one that sleeps for longer than its changes are kept is told so before anything else', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const sleeper = await subscribed(store, { keepSeconds: 1 })
    await store.nodes.create(node('missed'))
    await expireAll(opened)
    await store.pathCache.sweep()
    await store.nodes.create(node('unlogged'))
    const other = await subscribed(store)
    await store.nodes.create(node('later'))
    await expectCode(sleeper.next(), 'CHANGES_MISSED')
    await expectCode(sleeper.next(), 'CHANGES_MISSED')
    expect((await take(other, 1)).map(words)).toEqual(['insert nodes later'])
  })

  test('one that sleeps is told so though another one has the log written', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const sleeper = await subscribed(store)
    await expireAll(opened)
    let other = await subscribed(store)
    await store.nodes.createMany([node('a'), node('b')])
    // On PostgreSQL, transactions of anybody's that are open keep what came after them.
    await eventually('what it has not read is deleted', async () => {
      const later = await subscribed(store)
      await other.return()
      other = later
      await store.pathCache.sweep()
      return (await opened.other.rows('meshstore_changes')).every(({ key }) => key !== 'a')
    })
    expect(await logOf(opened)).toMatchObject({ isOn: true, consumers: 1 })
    await expectCode(sleeper.next(), 'CHANGES_MISSED')
    await store.nodes.create(node('c'))
    expect((await take(other, 1)).map(words)).toEqual(['insert nodes c'])
  })

  test('one that is busy is not forgotten: it says that it is there while it reads', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const changes = await subscribed(store, { keepSeconds: 1 })
    const ids = Array.from({ length: 9 }, (_, index) => `n-${index}`)
    await store.nodes.createMany(ids.map((id) => node(id)))
    const seen: string[] = []
    // One batch, over two seconds.
    for (const _ of ids) {
      seen.push(...(await take(changes, 1)).map(({ key }) => String(key)))
      await sleep(250)
      await store.pathCache.sweep()
    }
    expect(seen.sort()).toEqual(ids)
    expect(await committed(changes, store)).toEqual([])
  })
})

eachLastingBackend('subscribers', (backend) => {
  test('go on by their token in a store that is opened later: closing keeps their place', async () => {
    await using opened = await backend.open()
    const second = await opened.openAgain()
    const token = await opened.store.changes().ready()
    await second.nodes.create(node('before'))
    const reopened = await opened.reopen()
    await second.nodes.create(node('after'))
    await second.pathCache.sweep()
    const changes = reopened.changes({ after: token })
    expect((await take(changes, 2)).map(words)).toEqual(['insert nodes before', 'insert nodes after'])
  })

  test('after a quiet time the token of the last change is good', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const changes = await subscribed(store, { keepSeconds: 1 })
    await store.nodes.create(node('a'))
    const [change] = await take(changes, 1)
    // It waits, and says several times that it is there, while transactions go on that change nothing.
    const waiting = changes.next()
    for (let turn = 0; turn < 8; turn++) {
      await sleep(150)
      await store.health()
      await store.pathCache.sweep()
    }
    const later = await subscribed(store, { after: change?.token })
    await store.nodes.create(node('b'))
    expect((await take(later, 1)).map(words)).toEqual(['insert nodes b'])
    expect((await waiting).value?.key).toBe('b')
  })

  test('an earlier token is good, whoever else has written and read since', async () => {
    await using opened = await backend.open()
    const { store } = opened
    const other = await opened.openAgain()
    const changes = await subscribed(store)
    const others = await subscribed(other)
    const ids = Array.from({ length: 40 }, (_, index) => numbered('n', index))
    for (const id of ids) await other.nodes.create(node(id))
    const [early] = await take(changes, 1)
    expect((await take(changes, ids.length - 1)).at(-1)?.key).toBe(ids.at(-1))
    await take(others, ids.length)
    await other.pathCache.sweep()
    const again = await subscribed(other, { after: early?.token })
    expect((await take(again, ids.length - 1)).map(({ key }) => key)).toEqual(ids.slice(1))
  })

  test('a token of another database is told so', async () => {
    await using opened = await backend.open()
    await using foreign = await backend.open()
    await opened.store.changes().ready()
    const token = await foreign.store.changes().ready()
    await expectCode(opened.store.changes({ after: token }).next(), 'CHANGES_MISSED')
  })

  test('a read-only store has none', async () => {
    await using opened = await backend.open()
    await using store: Meshstore = await openStorage({ url: opened.url, readOnly: true })
    expect(() => store.changes()).toThrow(expect.objectContaining({ code: 'READ_ONLY' }))
    expect(() => store.pathCache.watch({ source: 'a', destination: 'b', k: 1 })).toThrow(
      expect.objectContaining({ code: 'READ_ONLY' }),
    )
  })

  test('one whose process is gone is forgotten by any store that sweeps', async () => {
    await using opened = await backend.open()
    const second = await opened.openAgain()
    await second.changes({ keepSeconds: 1 }).ready()
    await opened.store.nodes.create(node('a'))
    await opened.store.pathCache.sweep()
    expect(await logOf(opened)).toMatchObject({ isOn: true, changes: 1 })
    await expireAll(opened)
    await emptied(opened)
    await opened.store.nodes.create(node('b'))
    expect(await logOf(opened)).toEqual({ isOn: false, consumers: 0, changes: 0 })
  })
})

/** As if all of them had been away for too long. */
const expireAll = (opened: { other: { execute(sql: string): Promise<void> } }): Promise<void> =>
  opened.other.execute("UPDATE meshstore_consumers SET kept_until = 1 WHERE name <> ''")
