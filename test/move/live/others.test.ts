/** Other stores on the same file: those that know where the data goes, and those that do not. */
import { expect, test } from 'vitest'
import { StorageError } from '../../../src/index.ts'
import { eventually } from '../../postgres/support/eventually.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { expectCode } from '../../support/expectations.ts'
import { manyNodes, node } from '../../support/samples.ts'
import { moveBeside } from './support/beside.ts'
import { moving } from './support/moving.ts'

describePostgres('a store on the same file', () => {
  test('follows by itself, with its writes, its transactions, its reads and its changes', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(10))
    const [writer, reader, listener] = await Promise.all([1, 2, 3].map(() => moved.openAgain({ successor: moved.url })))
    const changes = listener?.changes()
    await changes?.ready()
    await store.moveTo(moved.url)
    const since = performance.now()
    await store.nodes.create(node('there'))
    const writes = manyNodes(50, 'w').map((each) => writer?.nodes.create(each))
    writes.push(writer?.transaction((tx) => tx.nodes.create(node('tx'))))
    await Promise.all(writes)
    expect(writer?.dialect).toBe('postgresql')
    expect(await writer?.nodes.count()).toBe(62)
    // Reads of who does not write notice a little later.
    await eventually('a reader notices', async () => (await reader?.nodes.get('there')) !== undefined)
    console.log(`readers noticed within ${Math.round(performance.now() - since)} ms, with a connection opened`)
    expect(reader?.dialect).toBe('postgresql')
    const heard = new Set<unknown>()
    while (heard.size < 52) heard.add((await changes?.next())?.value?.key)
    expect(heard.has('there') && heard.has('tx') && heard.has('w-0049')).toBe(true)
    expect(listener?.dialect).toBe('postgresql')
    for (const each of [store, writer, reader, listener]) expect((await each?.health())?.problems).toEqual([])
  })

  test('read-only, follows too', async () => {
    await using moved = await moving()
    const reader = await moved.openAgain({ successor: moved.url, readOnly: true })
    await moved.store.moveTo(moved.url)
    await moved.store.nodes.create(node('there'))
    await eventually('a reader notices', async () => (await reader.nodes.get('there')) !== undefined)
    await expectCode(reader.nodes.create(node('a')), 'READ_ONLY')
    expect(reader.dialect).toBe('postgresql')
  })

  test('has its open transaction finished before, and the next one there', async () => {
    await using moved = await moving()
    const other = await moved.openAgain({ successor: moved.url })
    const dialects: string[] = []
    const add = (id: string) =>
      other.transaction(async (tx) => {
        await tx.nodes.create(node(id))
        await new Promise((resolve) => setTimeout(resolve, 30))
        dialects.push(`${id} ${other.dialect}`)
      })
    let [open, next]: Promise<unknown>[] = []
    const held = await moved.inTheSwitch({
      onProgress: ({ step }) => {
        if (step === 'switching') open ??= add('open')
      },
    })
    await open
    next = add('next')
    held.open()
    await held.moved
    await next
    expect(dialects).toEqual(['open sqlite', 'next postgresql'])
    expect(await moved.store.nodes.count()).toBe(2)
  })

  test('without a successor is told at once by writes, soon by reads, and from then on by all', async () => {
    await using moved = await moving()
    await moved.store.nodes.create(node('a'))
    const other = await moved.openAgain()
    const changes = other.changes()
    await changes.ready()
    await moveBeside(moved.path, moved.url)
    const error = await expectCode(other.nodes.create(node('b')), 'MOVED')
    expect(error.retryable).toBe(false)
    expect(error.message).toContain('successor')
    await expectCode(
      other.transaction((tx) => tx.nodes.delete('a')),
      'MOVED',
    )
    await expectCode(other.nodes.createMany(manyNodes(1_000)), 'MOVED')
    const codes: string[] = []
    await eventually('reads are refused', async () => {
      codes.push(await outcome(other.nodes.get('a')))
      return codes.at(-1) !== 'done'
    })
    for (let count = 0; count < 30; count++) {
      codes.push(await outcome(other.nodes.get('a')), await outcome(other.nodes.list()))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(new Set(codes.slice(codes.indexOf('MOVED')))).toEqual(new Set(['MOVED']))
    await expectCode(changes.next(), 'MOVED')
    expect((await other.health()).problems).toMatchObject([{ code: 'MOVED' }, { code: 'MOVED' }])
  })

  test('that is opened afterwards', async () => {
    await using moved = await moving()
    await moved.store.nodes.create(node('a'))
    await moved.store.moveTo(moved.url)
    await expectCode(moved.openAgain(), 'MOVED')
    await expectCode(moved.openAgain({ readOnly: true }), 'MOVED')
    const other = await moved.openAgain({ successor: moved.url, pathCache: { invalidation: 'manual' } })
    expect(other.dialect).toBe('postgresql')
    expect(await other.nodes.count()).toBe(1)
    expect((await other.pathCache.stats()).invalidation).toBe('manual')
  })

  test('with a wrong successor is told so, and serves nothing old', async () => {
    await using moved = await moving()
    await using elsewhere = await moving()
    await moved.store.nodes.create(node('a'))
    const other = await moved.openAgain({ successor: elsewhere.url })
    await moved.store.moveTo(moved.url)
    await expectCode(other.nodes.create(node('b')), 'CONFIG')
    await expectOnly(other.nodes.get.bind(other.nodes), 'CONFIG')
    await expectCode(moved.openAgain({ successor: elsewhere.url }), 'CONFIG')
    expect(await elsewhere.ask('SELECT 1 FROM nodes')).toEqual([])
  })

  test('whose successor cannot be reached is told that, serves nothing old, and goes on when it can', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.create(node('a'))
    const other = await moved.openAgain({ successor: moved.url })
    await moveBeside(moved.path, moved.url)
    await moved.proxy.away()
    const writes = ['b', 'c'].map((id) => other.nodes.create(node(id)))
    for (const write of writes) expect((await expectCode(write, 'UNAVAILABLE')).retryable).toBe(true)
    await expectOnly(other.nodes.get.bind(other.nodes), 'UNAVAILABLE')
    await expectCode(moved.openAgain({ successor: moved.url }), 'UNAVAILABLE')
    await moved.proxy.back()
    await other.nodes.create(node('d'))
    expect((await other.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['a', 'd'])
    expect(other.dialect).toBe('postgresql')
  })
})

const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error) => (error instanceof StorageError ? error.code : Promise.reject(error)),
  )

/** For longer than a store may go without looking, no read gives anything but this. */
async function expectOnly(read: (id: string) => Promise<unknown>, code: string): Promise<void> {
  const codes = new Set<string>()
  for (const end = performance.now() + 300; performance.now() < end; ) {
    codes.add(await outcome(read('a')))
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
  expect(codes).toEqual(new Set([code]))
}
