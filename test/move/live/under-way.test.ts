/** Calls that are under way at the cutover: none fails, and their order is kept. */
import { expect, test } from 'vitest'
import { openStorage } from '../../../src/index.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { all, expectCode } from '../../support/expectations.ts'
import { gate } from '../../support/gate.ts'
import { manyNodes, node, numbered, policy } from '../../support/samples.ts'
import { moving } from './support/moving.ts'

describePostgres('when the switch comes', () => {
  test('writes wait, reads do not, and the last of many writes of one key wins', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(20))
    const writes: Promise<unknown>[] = []
    let n = 0
    const write = (): void => {
      writes.push(store.nodes.save(node('one', { routesDiscovered: ++n })))
      writes.push(store.nodes.recordRoutes(numbered('n', n % 20)))
      writes.push(store.policies.save(policy('one', `turn: ${n}\n`)))
    }
    for (let count = 0; count < 50; count++) write()
    const held = await moved.inTheSwitch()
    for (let count = 0; count < 200; count++) write()
    writes.push(store.nodes.createMany(manyNodes(1_200, 'large')))
    for (let count = 0; count < 5; count++)
      writes.push(store.transaction(async (tx) => void (await tx.nodes.create(node(`tx-${count}`)))))
    // From the file, at once.
    expect((await store.nodes.get('one'))?.routesDiscovered).toBe(50)
    expect(store.dialect).toBe('sqlite')
    held.open()
    for (let count = 0; count < 50; count++) write()
    const report = await held.moved
    expect(store.dialect).toBe('postgresql')
    await Promise.all(writes)
    expect((await store.nodes.get('one'))?.routesDiscovered).toBe(300)
    for (let count = 0; count < 50; count++) write()
    await Promise.all(writes)
    expect(report).toMatchObject({ attempts: 1, id: expect.stringMatching(/^[0-9a-f-]{36}$/) })
    expect(report.to).not.toMatch(/@|postgres:/)

    await using there = await openStorage(moved.direct)
    expect((await there.nodes.get('one'))?.routesDiscovered).toBe(350)
    expect((await there.policies.get('one'))?.yamlContent).toBe('turn: 350\n')
    expect(await there.nodes.count()).toBe(20 + 1_200 + 5 + 1)
    const counted = (await there.nodes.getMany(manyNodes(20).map(({ nodeId }) => nodeId))).map(
      (each) => each.routesDiscovered,
    )
    expect(counted.reduce((sum, each) => sum + each, 0)).toBe(350)
  })

  test('writes that are refused by the file, and those that come meanwhile, keep their order', async () => {
    await using moved = await moving()
    const { store } = moved
    const held = await moved.inTheSwitch()
    let n = 0
    const writes: Promise<unknown>[] = []
    const write = (): void => void writes.push(store.nodes.save(node('one', { routesDiscovered: ++n })))
    // More than the file refuses at a stroke.
    for (let count = 0; count < 1_200; count++) write()
    held.open()
    while (store.dialect === 'sqlite') {
      write()
      await new Promise((resolve) => setImmediate(resolve))
    }
    // At once, before anything that is still waiting in the file's queue could be refused.
    write()
    await Promise.all(writes)
    expect((await store.nodes.get('one'))?.routesDiscovered).toBe(n)
    await held.moved
  })

  test('an iterator goes on there: each key comes once, in order', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(3_000))
    const seen: string[] = []
    const iterators = Array.from({ length: 3 }, () => store.nodes.iterate()[Symbol.asyncIterator]())
    for (let count = 0; count < 700; count++) seen.push(String((await iterators[0]?.next())?.value?.nodeId))
    for (let count = 0; count < 10; count++) await iterators[1]?.next()
    await store.moveTo(moved.url)
    await store.nodes.delete(numbered('n', 2_500))
    expect(store.dialect).toBe('postgresql')
    for (let next = await iterators[0]?.next(); !next?.done; next = await iterators[0]?.next())
      seen.push(String(next?.value?.nodeId))
    const left = manyNodes(3_000)
      .map(({ nodeId }) => nodeId)
      .filter((id) => id !== numbered('n', 2_500))
    expect(seen).toEqual(left)
    expect(await all({ [Symbol.asyncIterator]: () => iterators[1] as AsyncIterator<unknown> })).toHaveLength(2_989)
    expect(await all({ [Symbol.asyncIterator]: () => iterators[2] as AsyncIterator<unknown> })).toHaveLength(2_999)
  })

  test('a read-only transaction keeps its moment, and closing waits for it', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.create(node('a'))
    const [begun, end] = [gate(), gate()]
    const reading = store.transaction(
      async (tx) => {
        const before = await tx.nodes.count()
        begun.open()
        await end.opened
        return [before, await tx.nodes.count(), (await tx.nodes.get('a'))?.started]
      },
      { readOnly: true, timeoutMs: 60_000 },
    )
    await begun.opened
    await store.moveTo(moved.url)
    await store.nodes.save(node('a', { started: true }))
    await store.nodes.create(node('b'))
    let closed = false
    const closing = store.close().then(() => {
      closed = true
    })
    await (await openStorage(moved.direct)).close()
    expect(closed).toBe(false)
    end.open()
    expect(await reading).toEqual([1, 1, false])
    await closing
  })

  test('close() inside a read-only transaction that began before is misuse, not a wait for itself', async () => {
    await using moved = await moving()
    const { store } = moved
    const [begun, end] = [gate(), gate()]
    const reading = store.transaction(
      async () => {
        begun.open()
        await end.opened
        await expectCode(store.close(), 'MISUSE')
      },
      { readOnly: true, timeoutMs: 10_000 },
    )
    await begun.opened
    await store.moveTo(moved.url)
    end.open()
    await reading
    // It is still open.
    await store.nodes.create(node('a'))
  })

  test('a transaction that is open finishes before', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.create(node('a'))
    const events: string[] = []
    let writing: Promise<unknown> | undefined
    const write = () =>
      store.transaction(async (tx) => {
        events.push('began')
        await tx.nodes.save(node('a', { routesDiscovered: 1 }))
        // Many turns of the event loop, in which the switch would come.
        for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setTimeout(resolve, 1))
        await tx.transaction((inner) => inner.nodes.create(node('b')))
        events.push(`ended on ${store.dialect}`)
      })
    const held = await moved.inTheSwitch({
      onProgress: ({ step }) => {
        if (step === 'switching') writing = write()
      },
    })
    events.push('switching')
    held.open()
    await writing
    await held.moved
    expect(events).toEqual(['began', 'ended on sqlite', 'switching'])
    expect(store.dialect).toBe('postgresql')
    expect(await store.nodes.count()).toBe(2)
    expect((await store.nodes.get('a'))?.routesDiscovered).toBe(1)
  })

  test('a backup that has begun is made, and so is the next one', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(2_000))
    const held = await moved.inTheSwitch()
    const [first, second] = [`${moved.path}.1`, `${moved.path}.2`]
    const backup = store.backup(first)
    held.open()
    await held.moved
    const manifests = [await backup, await store.backup(second)]
    expect(manifests.map(({ tables }) => tables.nodes?.rows)).toEqual([2_000, 2_000])
    expect(manifests[0]?.tables.nodes?.sha256).toBe(manifests[1]?.tables.nodes?.sha256)
    expect((await store.health()).lastBackup).toBeInstanceOf(Date)
  })

  test('close() in the middle of it: what was accepted is done, where the data is then', async () => {
    await using moved = await moving()
    const { store } = moved
    const held = await moved.inTheSwitch()
    const outcome = held.moved.then(
      () => 'done',
      ({ code }) => code,
    )
    const writes = manyNodes(50).map((each) => store.nodes.create(each))
    const unit = store.nodes.createMany(manyNodes(700, 'unit'))
    const closing = store.close()
    await expectCode(store.nodes.create(node('late')), 'CLOSED')
    await expectCode(store.nodes.get('a'), 'CLOSED')
    held.open()
    await Promise.all([...writes, unit])
    await closing
    expect(['done', 'CLOSED']).toContain(await outcome)
    await using again = await moved.openAgain({ successor: moved.url })
    expect(await again.nodes.count()).toBe(750)
  })

  test('more writes than may wait are refused as ever', async () => {
    await using moved = await moving({ maxPendingWrites: 10 })
    const { store } = moved
    const held = await moved.inTheSwitch()
    const writes = manyNodes(10).map((each) => store.nodes.create(each))
    await expectCode(store.nodes.create(node('late')), 'BUSY')
    held.open()
    await Promise.all(writes)
    await held.moved
    expect(await store.nodes.count()).toBe(10)
  })
})
