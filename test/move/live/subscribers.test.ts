/** Subscribers to changes, when the data moves. */
import { expect, test } from 'vitest'
import { describePostgres } from '../../postgres/support/suite.ts'
import { bundle, node, pathKey } from '../../support/samples.ts'
import { moving } from './support/moving.ts'

describePostgres('when the switch comes', () => {
  test('the changes come without a gap and in order, by whichever way', async () => {
    await using moved = await moving()
    const { store } = moved
    const changes = store.changes()
    await changes.ready()
    const idle = store.changes()
    await idle.ready()
    const watched = store.pathCache.watch(pathKey('a', 'b'))
    expect((await watched.next()).value).toBeUndefined()
    const keys: string[] = []
    const listening = (async () => {
      for await (const { table, key } of changes) {
        if (table === 'nodes') keys.push(String(key))
        if (key === 'end') return
      }
    })()
    for (let n = 0; n < 30; n++) await store.nodes.create(node(`before-${n}`))
    const held = await moved.inTheSwitch()
    const during = Array.from({ length: 30 }, (_, n) => store.nodes.create(node(`during-${n}`)))
    held.open()
    await held.moved
    await Promise.all(during)
    for (let n = 0; n < 30; n++) await store.nodes.create(node(`after-${n}`))
    await store.pathCache.set(pathKey('a', 'b'), bundle('a', 'b'))
    expect((await watched.next()).value).toMatchObject({ source: 'a', destination: 'b' })
    await store.nodes.create(node('end'))
    await listening
    const expected = ['before', 'during', 'after'].flatMap((when) =>
      Array.from({ length: 30 }, (_, n) => `${when}-${n}`),
    )
    // On PostgreSQL, changes of one moment have no order among each other.
    expect(keys.toSorted()).toEqual([...expected, 'end'].toSorted())
    expect(keys.filter((key) => !key.startsWith('during'))).toEqual(
      [...expected, 'end'].filter((key) => !key.startsWith('during')),
    )
    // This subscriber has not read before.
    expect((await idle.next()).value).toMatchObject({ key: 'before-0' })
    await watched.return?.(undefined)
  })
})
