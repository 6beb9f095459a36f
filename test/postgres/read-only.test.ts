/** Transactions that only read, whose connection breaks. */
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { node } from '../support/samples.ts'
import { createDatabase } from './support/database.ts'
import { FaultyProxy } from './support/proxy.ts'
import { describePostgres } from './support/suite.ts'

describePostgres('a transaction that only reads', () => {
  test('has no unknown outcome: when the answer to its COMMIT is lost, it can be run again', async () => {
    await using database = await createDatabase()
    await using proxy = await FaultyProxy.before(database.url)
    await using store = await openStorage(proxy.url)
    await store.nodes.create(node('a'))
    const read = () => store.transaction((tx) => tx.nodes.count(), { readOnly: true })
    proxy.arm('reset after', 'COMMIT\0')
    expect((await expectCode(read(), 'UNAVAILABLE')).retryable).toBe(true)
    expect(await read()).toBe(1)
  })
})
