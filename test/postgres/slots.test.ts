/** Which work gets a slot, and in which order. No server is asked. */
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { type SlotKind, Slots } from '../../src/database/postgres/slots.ts'

/** Slots, and the names of the work that has one. */
function slotsOf(max: number) {
  const slots = new Slots(max)
  const holders: string[] = []
  const ask = async (kind: SlotKind, name: string = kind, again = false): Promise<void> => {
    await slots.take(kind, again)
    holders.push(name)
  }
  const free = async (kind: SlotKind, name: string = kind): Promise<void> => {
    holders.splice(holders.indexOf(name), 1)
    slots.free(kind)
    await setImmediate()
  }
  return { slots, holders, ask, free }
}

test('callers’ transactions leave one slot free, whether they write or read', async () => {
  const { holders, ask, free } = slotsOf(3)
  for (const kind of ['writing transaction', 'reading transaction', 'reading transaction', 'call'] as const)
    void ask(kind)
  await setImmediate()
  expect(holders).toEqual(['writing transaction', 'reading transaction', 'call'])
  await free('call')
  expect(holders).toEqual(['writing transaction', 'reading transaction'])
  await free('writing transaction')
  expect(holders).toEqual(['reading transaction', 'reading transaction'])
})

test('a single slot is for callers’ transactions, too', async () => {
  const { holders, ask } = slotsOf(1)
  void ask('writing transaction')
  await setImmediate()
  expect(holders).toEqual(['writing transaction'])
})

test('work goes in the order in which it asked, and work that is run again goes first', async () => {
  const { holders, ask, free } = slotsOf(1)
  await ask('call', 'running')
  void ask('bulk', 'first')
  void ask('call', 'second')
  void ask('bulk', 'again', true)
  await free('call', 'running')
  expect(holders).toEqual(['again'])
  await free('bulk', 'again')
  expect(holders).toEqual(['first'])
  await free('bulk', 'first')
  expect(holders).toEqual(['second'])
})

test('after conflicts fewer writers run at once, and other work as before', async () => {
  const { slots, holders, ask, free } = slotsOf(8)
  slots.note('bulk', 'conflict')
  slots.note('bulk', 'conflict')
  // Calls are no writers of many statements.
  slots.note('call', 'conflict')
  for (let n = 0; n < 4; n++) void ask('bulk', `writer ${n}`)
  for (let n = 0; n < 3; n++) void ask('call', `call ${n}`)
  await setImmediate()
  expect(holders).toEqual(['writer 0', 'writer 1', 'call 0', 'call 1', 'call 2'])
  // As many successes as the limit allows: the limit grows by one.
  for (let n = 0; n < 3; n++) slots.note('bulk', 'success')
  await free('call', 'call 0')
  expect(holders).toEqual(['writer 0', 'writer 1', 'call 1', 'call 2', 'writer 2'])
})

test('one refusal is for all that wait', async () => {
  const { slots, ask } = slotsOf(1)
  void ask('call')
  const waiting = (['call', 'bulk', 'writing transaction'] as const).map((kind) => ask(kind))
  slots.refuseWaiting(new Error('away'))
  for (const each of waiting) await expect(each).rejects.toThrow('away')
})

test('work that waits within a limit gives up, and leaves its place to others', async () => {
  const { slots, holders, ask, free } = slotsOf(1)
  await ask('call', 'running')
  const late = slots.take('call', true, 1)
  void ask('call', 'next')
  expect(await late).toBe(false)
  await free('call', 'running')
  expect(holders).toEqual(['next'])
})
