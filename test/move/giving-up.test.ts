/** Giving a move up in the very moment in which it arrives. */
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { eventually } from '../postgres/support/eventually.ts'
import { describePostgres } from '../postgres/support/suite.ts'
import { expectCode } from '../support/expectations.ts'
import { node } from '../support/samples.ts'
import { abortBeside } from './live/support/beside.ts'
import { moving } from './live/support/moving.ts'

const END_MOVER = `SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON pg_database.oid = database
  WHERE datname = current_database() AND locktype = 'advisory' AND objid = 1836021349 AND granted`
const ASKING =
  "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_try_advisory_lock%'"

describePostgres('a move that is given up while it arrives', () => {
  test('has arrived: what serves is not emptied, though its mover was lost before it could say so', async () => {
    await using moved = await moving()
    await moved.store.nodes.create(node('a'))
    const held = await moved.inTheSwitch()
    const given = abortBeside(moved.path, moved.url)
    given.catch(() => {})
    await eventually('the one who gives up waits for the mover', async () => {
      // This question is one of its own.
      return (await moved.ask(ASKING)).length > 1
    })
    const saying = moved.proxy.hold('"done"')
    held.open()
    await saying.reached
    await moved.ask(END_MOVER)
    await expectCode(given, 'MOVED')
    saying.open()
    await held.moved
    await moved.store.nodes.create(node('b'))
    expect(await moved.ask('SELECT node_id FROM nodes ORDER BY 1')).toEqual([{ node_id: 'a' }, { node_id: 'b' }])
  })
  test('a mover that is lost before it could say so: the store that goes on in the target says it', async () => {
    await using moved = await moving()
    await moved.store.nodes.create(node('a'))
    const saying = moved.proxy.hold('"done"')
    const move = moved.store.moveTo(moved.url)
    await saying.reached
    await moved.ask(END_MOVER)
    saying.open()
    await move
    await using there = await openStorage(moved.direct)
    expect(await there.nodes.get('a')).toBeDefined()
  })
})
