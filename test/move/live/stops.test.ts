/** A move that is stopped, at whichever step, by whomever, and gone on with; and one that cannot switch in time. */
import { expect, test } from 'vitest'
import { type MoveProgress, openStorage } from '../../../src/index.ts'
import { eventually } from '../../postgres/support/eventually.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { expectCode } from '../../support/expectations.ts'
import { sqliteProgram } from '../../support/other-program.ts'
import { manyNodes, node, numbered } from '../../support/samples.ts'
import { expectAsBefore } from './support/file.ts'
import { moving, PATIENT } from './support/moving.ts'
import { STEPS, type Step, stopping } from './support/stopping.ts'

describePostgres('a move that is stopped', () => {
  test.each(STEPS)('by a signal while %s, and goes on', async (at) => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(1_500))
    const { steps, options } = stopping(at)
    await expect(store.moveTo(moved.url, options)).rejects.toBe('enough')
    expect(steps.at(-1)).toBe(at)
    expect(store.dialect).toBe('sqlite')
    await store.nodes.save(node(numbered('n', 3), { routesDiscovered: 7 }))
    await store.nodes.delete(numbered('n', 4))
    await store.nodes.create(node('new'))
    const again: Step[] = []
    const report = await store.moveTo(moved.url, { onProgress: ({ step }) => again.push(step) })
    expect(report.tables.nodes.rows).toBe(1_500)
    // Tables that were copied are not copied again.
    expect(again.includes('copying')).toBe(['checking', 'copying'].includes(at))
    expect(await store.nodes.count()).toBe(1_500)
    expect((await store.nodes.get(numbered('n', 3)))?.routesDiscovered).toBe(7)
    expect(await store.nodes.get(numbered('n', 4))).toBeUndefined()
  })

  test('by a signal that has been given', async () => {
    await using moved = await moving()
    await expect(moved.store.moveTo(moved.url, { signal: AbortSignal.abort('no') })).rejects.toBe('no')
    expectAsBefore(moved.path)
  })

  test('by closing the store, and goes on with the next one', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(1_500))
    let closing: Promise<void> | undefined
    const move = store.moveTo(moved.url, {
      onProgress: ({ step }) => {
        if (step === 'copying') closing ??= store.close()
      },
    })
    await expectCode(move, 'CLOSED')
    await closing
    const again = await moved.openAgain()
    await again.moveTo(moved.url)
    expect(await again.nodes.count()).toBe(1_500)
  })

  test('by the loss of the target in the middle of the switch: writes go on in the file', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.create(node('a'))
    const held = await moved.inTheSwitch()
    const waiting = [store.nodes.save(node('a', { routesDiscovered: 1 })), store.nodes.create(node('b'))]
    await moved.proxy.away()
    held.open()
    await expect(held.moved).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await Promise.all(waiting)
    expect(store.dialect).toBe('sqlite')
    expect(await sqliteProgram(moved.path).rows('nodes')).toHaveLength(2)
    await moved.proxy.back()
    await store.moveTo(moved.url)
    expect((await store.nodes.list()).map(({ nodeId, routesDiscovered }) => [nodeId, routesDiscovered])).toEqual([
      ['a', 1],
      ['b', 0],
    ])
  })

  test('by the loss of the answer to the commit of the target, in the middle of the switch', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.create(node('a'))
    const held = await moved.inTheSwitch()
    const waiting = store.nodes.create(node('b'))
    moved.proxy.arm('reset after', 'COMMIT')
    held.open()
    await expectCode(held.moved, 'UNAVAILABLE')
    await waiting
    expect(store.dialect).toBe('sqlite')
    await store.nodes.delete('a')
    // It was carried out, and the target is a copy all the same.
    await eventually('the server has committed', async () => {
      const [row] = await moved.ask("SELECT value FROM meshstore_state WHERE name = 'move'")
      return JSON.parse(String(row?.value)).phase === 'ready'
    })
    await expectCode(openStorage(moved.direct), 'CONFIG')
    await store.moveTo(moved.url)
    expect((await store.nodes.list()).map(({ nodeId }) => nodeId)).toEqual(['b'])
  })

  test('by the loss of the last answer: who has the file at hand finds that it has arrived', async () => {
    await using moved = await moving()
    await moved.store.nodes.create(node('a'))
    const held = await moved.inTheSwitch()
    moved.proxy.arm('reset after', '"done"')
    held.open()
    await held.moved
    expect(moved.store.dialect).toBe('postgresql')
    await moved.openAgain({ successor: moved.direct })
    await using there = await openStorage(moved.direct)
    expect(await there.nodes.count()).toBe(1)
  })
})

describePostgres('a move that takes too long to switch', () => {
  test('lets writes go on, and tries again', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.create(node('a'))
    moved.proxy.delayMs = 4
    const stop = new AbortController()
    const attempts: number[] = []
    let writes = 0
    const written: number[] = []
    const writing = (async () => {
      while (!stop.signal.aborted) {
        await store.nodes.save(node('a', { routesDiscovered: ++writes }))
        written.push(attempts.length)
      }
    })()
    const move = store.moveTo(moved.url, {
      maxPauseMs: 1,
      signal: stop.signal,
      onProgress: ({ step, done }) => {
        if (step !== 'switching') return
        attempts.push(done)
        if (done === 4) stop.abort('enough')
      },
    })
    await expect(move).rejects.toBe('enough')
    await writing
    expect(attempts).toEqual([1, 2, 3, 4])
    // Between any two of them something was written.
    for (const attempt of [1, 2, 3]) expect(written).toContain(attempt)
    expect(store.dialect).toBe('sqlite')
    moved.proxy.delayMs = 0
    const report = await store.moveTo(moved.url, PATIENT)
    expect(report.attempts).toBe(1)
    expect((await store.nodes.get('a'))?.routesDiscovered).toBe(writes)
    expect(await store.nodes.count()).toBe(1)
  })

  test('lets a flood of writes go first, which could not be taken along in time', async () => {
    await using moved = await moving()
    const { store } = moved
    let flood: Promise<unknown> | undefined
    const report = await store.moveTo(moved.url, {
      ...PATIENT,
      onProgress: ({ step }) => {
        if (step === 'switching') flood ??= store.nodes.createMany(manyNodes(5_000))
      },
    })
    await flood
    expect(report.attempts).toBeGreaterThan(1)
    expect(report.followed).toBeGreaterThanOrEqual(5_000)
    expect(await store.nodes.count()).toBe(5_000)
  })

  test('tells its steps in their order, with how much is done', async () => {
    await using moved = await moving()
    await moved.store.nodes.createMany(manyNodes(3_000))
    const told: MoveProgress[] = []
    const report = await moved.store.moveTo(moved.url, { onProgress: (progress) => told.push(progress) })
    expect([...new Set(told.map(({ step }) => step))]).toEqual([...STEPS])
    for (const step of STEPS) {
      const dones = told.filter((each) => each.step === step).map(({ done }) => done)
      expect(dones).toEqual(dones.toSorted((a, b) => a - b))
    }
    for (const { done, total } of told) if (total !== undefined) expect(done).toBeLessThanOrEqual(total)
    expect(told.findLast(({ step }) => step === 'verifying')).toMatchObject({ done: 6_000, total: 6_000 })
    expect(report.tables.nodes.rows).toBe(3_000)
    expect(report.pauseMs).toBeGreaterThan(0)
  })
})
