/** A move that is given up, and movers that are in each other's way. */
import { copyFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openStorage } from '../../../src/index.ts'
import { eventually } from '../../postgres/support/eventually.ts'
import type { Held } from '../../postgres/support/proxy.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { expectCode } from '../../support/expectations.ts'
import { sqliteProgram } from '../../support/other-program.ts'
import { manyNodes, node } from '../../support/samples.ts'
import { abortBeside, moveBeside } from './support/beside.ts'
import { expectAsBefore } from './support/file.ts'
import { moving, PATIENT } from './support/moving.ts'
import { stopping } from './support/stopping.ts'

describePostgres('a move that is given up', () => {
  test.each(['copying', 'following', 'verifying', 'switching'] as const)('after %s', async (at) => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(1_500))
    await expect(store.moveTo(moved.url, stopping(at).options)).rejects.toBe('enough')
    await abortBeside(moved.path, moved.url)
    expectAsBefore(moved.path)
    for (const table of [
      'nodes',
      'policies',
      'path_cache',
      'path_cache_marks',
      'meshstore_changes',
      'meshstore_consumers',
    ])
      expect(await moved.ask(`SELECT 1 FROM ${table}`)).toEqual([])
    await using there = await openStorage(moved.direct)
    expect(await there.nodes.count()).toBe(0)
    expect(await store.nodes.count()).toBe(1_500)
    await expectCode(abortBeside(moved.path, moved.url), 'CONFIG')
  })

  test('goes on for others who read the log of changes', async () => {
    await using moved = await moving()
    const { store } = moved
    const changes = store.changes()
    await changes.ready()
    await expect(store.moveTo(moved.url, stopping('following').options)).rejects.toBe('enough')
    await abortBeside(moved.path, moved.url)
    await store.nodes.create(node('a'))
    expect((await changes.next()).value).toMatchObject({ key: 'a' })
  })

  test('beside a mover that runs: that one notices, and nothing that was written is lost', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(10))
    const program = sqliteProgram(moved.path)
    // The last of the log is on its way to the target; then comes the switch.
    let held: Held | undefined
    const switching = Promise.withResolvers<void>()
    const move = store.moveTo(moved.url, {
      ...PATIENT,
      onProgress: ({ step }) => {
        if (step !== 'switching') return
        held = moved.proxy.hold('UPDATE meshstore_state')
        switching.resolve()
      },
    })
    move.catch(() => {})
    await switching.promise
    await program.execute("UPDATE nodes SET routes_discovered = 5 WHERE node_id = 'n-0001'")
    await held?.reached
    await abortBeside(moved.path)
    // The log is switched off: in it, this is nowhere.
    await store.nodes.create(node('late'))
    held?.open()
    await expectCode(move, 'CONFLICT')
    expect(store.dialect).toBe('sqlite')
    expect(await store.nodes.count()).toBe(11)
    expectAsBefore(moved.path)
  })

  test('after the switch: it is too late', async () => {
    await using moved = await moving()
    await moved.store.moveTo(moved.url)
    await expectCode(abortBeside(moved.path, moved.url), 'MOVED')
    await expectCode(moveBeside(moved.path, moved.url), 'MOVED')
  })

  test('by a copy of the file from before the switch: what serves is not emptied', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.create(node('a'))
    await expect(store.moveTo(moved.url, stopping('following').options)).rejects.toBe('enough')
    await store.close()
    const copy = `${moved.path}.copy`
    copyFileSync(moved.path, copy)
    const again = await moved.openAgain()
    await again.moveTo(moved.url)
    await again.nodes.create(node('b'))
    await expectCode(abortBeside(copy, moved.url), 'CONFIG')
    await expectCode(moveBeside(copy, moved.url), 'CONFIG')
    expect(await again.nodes.count()).toBe(2)
  })
})

describePostgres('two movers of one file', () => {
  const asking =
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock%'"

  test('the second waits for the first, and is told that the data has moved', async () => {
    await using moved = await moving()
    await moved.store.nodes.create(node('a'))
    const held = await moved.inTheSwitch()
    const second = moveBeside(moved.path, moved.url)
    second.catch(() => {})
    await eventually('the second asks for the lock', async () => {
      // This question is one of its own.
      return (await moved.ask(asking)).length > 1
    })
    held.open()
    await held.moved
    await expectCode(second, 'MOVED')
    expect(await moved.store.nodes.count()).toBe(1)
  })

  test('a second that has no time is refused, and does not disturb', async () => {
    await using moved = await moving()
    await moved.store.nodes.create(node('a'))
    const held = await moved.inTheSwitch()
    const other = await moved.openAgain({ busyTimeoutMs: 50 })
    await expectCode(other.moveTo(moved.url), 'BUSY')
    held.open()
    await held.moved
    expect(moved.store.dialect).toBe('postgresql')
  })
})
