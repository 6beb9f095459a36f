/** Sources and targets that cannot be moved are refused before anything is changed. */
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { type MoveProgress, openStorage } from '../../../src/index.ts'
import { createDatabase } from '../../postgres/support/database.ts'
import { describePostgres } from '../../postgres/support/suite.ts'
import { expectCode } from '../../support/expectations.ts'
import { sqliteProgram } from '../../support/other-program.ts'
import { manyNodes, node, policy } from '../../support/samples.ts'
import { expectAsBefore } from './support/file.ts'
import { moving, PATIENT } from './support/moving.ts'

const stopAt =
  (at: MoveProgress['step'], stop: AbortController) =>
  ({ step }: MoveProgress): void => {
    if (step === at) stop.abort('enough')
  }

describePostgres('a move is refused', () => {
  test('from what is no file that can be written', async () => {
    await using moved = await moving()
    await using memory = await openStorage('sqlite::memory:')
    await expectCode(memory.moveTo(moved.url), 'MISUSE')
    await using there = await openStorage(moved.direct)
    await expectCode(there.moveTo(moved.url), 'MISUSE')
    const reader = await moved.openAgain({ readOnly: true })
    await expectCode(reader.moveTo(moved.url), 'READ_ONLY')
    const closed = await moved.openAgain()
    await closed.close()
    await expectCode(closed.moveTo(moved.url), 'CLOSED')
    expectAsBefore(moved.path)
  })

  test('in a transaction, and a second time', async () => {
    await using moved = await moving()
    const { store } = moved
    await store.transaction(async () => void (await expectCode(store.moveTo(moved.url), 'MISUSE')))
    await store.transaction(async () => void (await expectCode(store.moveTo(moved.url), 'MISUSE')), { readOnly: true })
    const first = store.moveTo(moved.url)
    await expectCode(store.moveTo(moved.url), 'MISUSE')
    await first
    await expectCode(store.moveTo(moved.url), 'MISUSE')
  })

  test('while one stands still, in which the store can be asked how it is', async () => {
    await using moved = await moving()
    const { store } = moved
    const held = await moved.inTheSwitch()
    await expectCode(store.moveTo(moved.url, PATIENT), 'MISUSE')
    const health = store.health()
    const stats = store.stats()
    held.open()
    expect((await health).problems).toEqual([])
    expect((await stats).rows.nodes).toBe(0)
    await held.moved
  })

  test('with options and URLs that cannot be', async () => {
    await using moved = await moving()
    const { store } = moved
    for (const options of [{ maxPauseMs: 0 }, { maxPauseMs: 1.5 }, { signal: {} }, { onProgress: 1 }, { other: 1 }])
      await expectCode(store.moveTo(moved.url, options as never), 'VALIDATION')
    for (const url of ['', 'mesh.db', 'sqlite:mesh.db', 'mysql://x']) await expectCode(store.moveTo(url), 'CONFIG')
    expectAsBefore(moved.path)
  })

  test('where nothing answers, or the password is wrong', async () => {
    await using moved = await moving()
    const wrong = new URL(moved.url)
    wrong.password = 'wrong-password'
    await expectCode(moved.store.moveTo(wrong.href), 'CONFIG')
    await moved.proxy.away()
    await expectCode(moved.store.moveTo(moved.url), 'UNAVAILABLE')
    await moved.proxy.back()
    expectAsBefore(moved.path)
    await moved.store.moveTo(moved.url)
  })

  test.each(['nodes', 'policies'] as const)('into a database with %s', async (table) => {
    await using moved = await moving()
    await using there = await openStorage(moved.direct)
    await (table === 'nodes' ? there.nodes.create(node('a')) : there.policies.create(policy('a')))
    await expectCode(moved.store.moveTo(moved.url), 'CONFIG')
    expectAsBefore(moved.path)
  })

  test('into the database of another move, under way or done, and the file can go elsewhere', async () => {
    await using first = await moving()
    await using second = await moving()
    const enough = new AbortController()
    const stopped = first.store.moveTo(first.url, {
      signal: enough.signal,
      onProgress: ({ step }) => step === 'following' && enough.abort('enough'),
    })
    await expect(stopped).rejects.toBe('enough')
    await expectCode(second.store.moveTo(first.url), 'CONFIG')
    expectAsBefore(second.path)
    // A store that may be behind serves nobody.
    await expectCode(openStorage(first.direct), 'CONFIG')
    await first.store.moveTo(first.url)
    await expectCode(second.store.moveTo(first.url), 'CONFIG')
    expectAsBefore(second.path)
    await second.store.moveTo(second.url)
  })

  test('to another database than the one that it was begun to', async () => {
    await using moved = await moving()
    await using elsewhere = await moving()
    await moved.store.nodes.create(node('a'))
    const enough = new AbortController()
    const options = { signal: enough.signal, onProgress: () => enough.abort('enough') }
    await expect(moved.store.moveTo(moved.url, options)).rejects.toBe('enough')
    const stopping = new AbortController()
    const following = { signal: stopping.signal, onProgress: stopAt('following', stopping) }
    await expect(moved.store.moveTo(moved.url, following)).rejects.toBe('enough')
    await expectCode(moved.store.moveTo(elsewhere.url), 'CONFIG')
    await moved.store.moveTo(moved.url)
  })

  test('with another schema', async () => {
    await using moved = await moving()
    await moved.store.close()
    const program = sqliteProgram(moved.path)
    await program.execute(
      'DELETE FROM __drizzle_migrations WHERE created_at = (SELECT max(created_at) FROM __drizzle_migrations)',
    )
    const older = await moved.openAgain({ migrate: 'skip' })
    await expectCode(older.moveTo(moved.url), 'SCHEMA_MISMATCH')
    expectAsBefore(moved.path)
  })

  test('into a database of a newer version, or of another program', async () => {
    await using moved = await moving()
    await using other = await createDatabase()
    await other.query('CREATE TABLE nodes (id integer)')
    await expectCode(moved.store.moveTo(other.url), 'SCHEMA_MISMATCH')
    await using newer = await createDatabase()
    await (await openStorage(newer.url)).close()
    await newer.query(
      `INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('new', 4102444800000);
       INSERT INTO meshstore_state (name, value, updated_at) VALUES ('migration:4102444800000', '9999_new', 0)`,
    )
    await expectCode(moved.store.moveTo(newer.url), 'SCHEMA_NEWER')
    expectAsBefore(moved.path)
  })
})

describePostgres('a row that cannot live there', () => {
  test.each(['before', 'copying', 'verifying', 'switching'] as const)('is found: %s', async (when) => {
    await using moved = await moving()
    const { store } = moved
    await store.nodes.createMany(manyNodes(10))
    const program = sqliteProgram(moved.path)
    const raw = new Sqlite(moved.path)
    const insert = (): void =>
      void raw.prepare('INSERT INTO policies VALUES (?, ?, 0, 1, 1)').run('bad', 'a\0secret-of-the-policy')
    if (when === 'before') insert()
    let inserted = when === 'before'
    const moves = store.moveTo(moved.url, {
      onProgress: ({ step }) => {
        if (step !== when || inserted) return
        inserted = true
        insert()
      },
    })
    const error = await expectCode(moves, 'CORRUPT')
    expect(inserted).toBe(true)
    expect(`${error.message} ${JSON.stringify(error.issues)}`).toMatch(/policies.*bad.*yaml_content/)
    expect(error.message).not.toContain('secret')
    expect(store.dialect).toBe('sqlite')
    await store.nodes.create(node('goes-on'))
    await program.execute("DELETE FROM policies WHERE policy_id = 'bad'")
    raw.close()
    expect((await store.moveTo(moved.url)).tables.nodes.rows).toBe(11)
    expect(await store.policies.count()).toBe(0)
  })
})
