import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { expectCode } from '../support/expectations.ts'
import { node } from '../support/samples.ts'
import { createDatabase } from './support/database.ts'
import { describePostgres } from './support/suite.ts'

describePostgres("a database's encoding", () => {
  test.for(['SQL_ASCII', 'LATIN1', 'EUC_JP'])('%s is refused, and nothing is created in it', async (encoding) => {
    await using database = await createDatabase(undefined, { encoding })
    const error = await expectCode(openStorage(database.url), 'CONFIG')
    expect(error.message).toContain(encoding)
    expect(error.message).toContain('UTF8')
    expect(await database.query("SELECT 1 FROM pg_class WHERE relnamespace = 'public'::regnamespace")).toEqual([])
  })

  test('UTF8 keeps every character, in the order of bytes', async () => {
    await using database = await createDatabase()
    await using store = await openStorage(database.url)
    const ids = ['Z', 'a', 'ä', 'я', '\u{e000}', '\u{fffd}', '\u{1f600}', '\u{10ffff}']
    await store.nodes.createMany(ids.toReversed().map((id) => node(id, { protocols: [id] })))
    const found = await store.nodes.list()
    expect(found.map(({ nodeId }) => nodeId)).toEqual(ids)
    expect(found.map(({ protocols }) => protocols)).toEqual(ids.map((id) => [id]))
  })
})
