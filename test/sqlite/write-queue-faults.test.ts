/** A batch whose BEGIN or COMMIT fails. */
import Sqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { WriteQueue } from '../../src/database/sqlite/write-queue.ts'
import { expectCode } from '../support/expectations.ts'
import { type TemporaryFolder, temporaryFolder } from '../support/folders.ts'
import { manyNodes, node } from '../support/samples.ts'
import { record } from '../support/tracing.ts'
import { failing } from './support/failing.ts'
import { openInside } from './support/inside.ts'
import { outcomes, tally } from './support/settled.ts'

/** A queue on a plain table, on a connection that can be made to fail before the queue prepares its statements. */
interface Plain extends Disposable {
  readonly raw: Sqlite.Database
  readonly queue: () => WriteQueue
  insert(id: number): () => number
  ids(): unknown[]
}

function plainTable(folder: TemporaryFolder, journal = 'WAL'): Plain {
  const raw = new Sqlite(folder.file('plain.db'), { timeout: 5 })
  raw.pragma(`journal_mode = ${journal}`)
  raw.pragma('foreign_keys = ON')
  raw.exec('CREATE TABLE written (id INTEGER PRIMARY KEY)')
  raw.exec('CREATE TABLE parts (of INTEGER REFERENCES written (id) DEFERRABLE INITIALLY DEFERRED)')
  const insert = raw.prepare('INSERT INTO written VALUES (?)')
  return {
    raw,
    queue: () =>
      new WriteQueue(raw, {
        busyTimeoutMs: 1_000,
        maxPendingWrites: 10_000,
        refusal: () => undefined,
        unacknowledged: () => undefined,
        onIdle: () => {},
      }),
    insert: (id) => () => insert.run(id).changes,
    ids: () => raw.prepare('SELECT id FROM written ORDER BY id').pluck().all(),
    [Symbol.dispose]: () => void raw.close(),
  }
}

describe('a COMMIT that fails', () => {
  test('with an I/O error leaves the outcome unknown, for every member, and nothing is applied', async () => {
    using folder = temporaryFolder()
    using plain = plainTable(folder)
    using fault = failing(plain.raw, 'COMMIT', 'SQLITE_IOERR_FSYNC')
    const queue = plain.queue()
    fault.left = 1
    const failed = [1, 2, 3].map((id) => queue.write(plain.insert(id)))
    const refused = queue.write(() => {
      throw new Sqlite.SqliteError('UNIQUE', 'SQLITE_CONSTRAINT_PRIMARYKEY')
    })
    expect(await outcomes([...failed, refused])).toEqual(Array(4).fill('OUTCOME_UNKNOWN'))
    expect(fault.injected).toBe(1)
    expect(plain.ids()).toEqual([])

    expect(await outcomes([4, 5].map((id) => queue.write(plain.insert(id))))).toEqual(['done', 'done'])
    expect(plain.ids()).toEqual([4, 5])
  })

  test('is not tried again: OUTCOME_UNKNOWN is not retryable', async () => {
    using folder = temporaryFolder()
    using plain = plainTable(folder)
    using fault = failing(plain.raw, 'COMMIT', 'SQLITE_IOERR_WRITE')
    const queue = plain.queue()
    fault.left = 1
    let runs = 0
    const writing = queue.write(() => {
      runs++
    })
    const { retryable } = await expectCode(writing, 'OUTCOME_UNKNOWN')
    expect(retryable).toBe(false)
    expect({ runs, injected: fault.injected }).toEqual({ runs: 1, injected: 1 })
  })

  test('fails those behind it no more', async () => {
    using folder = temporaryFolder()
    using plain = plainTable(folder)
    using fault = failing(plain.raw, 'COMMIT', 'SQLITE_FULL')
    const queue = plain.queue()
    fault.left = 1
    // More than one batch: the first one fails.
    const codes = await outcomes(Array.from({ length: 2_500 }, (_, id) => queue.write(plain.insert(id))))
    expect(fault.injected).toBe(1)
    expect(tally(codes)).toEqual({ STORAGE_FULL: expect.any(Number), done: expect.any(Number) })
    expect(codes[0]).toBe('STORAGE_FULL')
    expect(codes.at(-1)).toBe('done')
    expect(plain.ids()).toEqual(codes.flatMap((code, id) => (code === 'done' ? [id] : [])))
    await queue.idle()
  })

  test('fails a transaction and a large unit with OUTCOME_UNKNOWN, too', async () => {
    using folder = temporaryFolder()
    await using inside = await openInside(folder.file('mesh.db'))
    using fault = failing(inside.writer, 'COMMIT', 'SQLITE_IOERR_FSYNC')
    await inside.nodes.create(node('first'))
    fault.left = 1
    await expectCode(inside.nodes.createMany(manyNodes(600)), 'OUTCOME_UNKNOWN')
    fault.left = 1
    const limits = { readOnly: false, timeoutMs: 10_000, attempts: 10 }
    let runs = 0
    const transaction = inside.database.transaction(async () => {
      runs++
    }, limits)
    await expectCode(transaction, 'OUTCOME_UNKNOWN')
    expect({ runs, injected: fault.injected }).toEqual({ runs: 1, injected: 2 })
    expect(inside.writer.inTransaction).toBe(false)
    expect(await inside.nodes.count()).toBe(1)
    expect(await inside.nodes.createMany(manyNodes(600))).toHaveLength(600)
  })

  test('because of a deferred constraint refuses the write that broke it alone', async () => {
    using folder = temporaryFolder()
    using plain = plainTable(folder)
    const queue = plain.queue()
    const orphan = plain.raw.prepare('INSERT INTO parts VALUES (99)')
    const writes = [plain.insert(1), () => orphan.run().changes, plain.insert(2)].map((run) => queue.write(run))
    expect(await outcomes(writes)).toEqual(['done', 'CONFLICT', 'done'])
    expect(plain.ids()).toEqual([1, 2])
    expect(plain.raw.inTransaction).toBe(false)
    expect(await outcomes([queue.write(plain.insert(3))])).toEqual(['done'])
  })

  test('because somebody reads, without a write-ahead log, undoes all of the batch and is retryable', async () => {
    using folder = temporaryFolder()
    using plain = plainTable(folder, 'DELETE')
    const queue = plain.queue()
    const reader = new Sqlite(folder.file('plain.db'), { readonly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM written').get()
    const writes = [1, 2].map((id) => queue.write(plain.insert(id)))
    const codes = await outcomes(writes)
    expect(codes).toEqual(['BUSY', 'BUSY'])
    reader.close()
    expect(plain.ids()).toEqual([])
    expect(await outcomes([1, 2].map((id) => queue.write(plain.insert(id))))).toEqual(['done', 'done'])
  })
})

describe('a BEGIN that fails', () => {
  test('with an I/O error refuses the batch, and only that one', async () => {
    using folder = temporaryFolder()
    using plain = plainTable(folder)
    using fault = failing(plain.raw, 'BEGIN IMMEDIATE', 'SQLITE_IOERR_READ')
    const queue = plain.queue()
    fault.left = 1
    const first = outcomes([1, 2, 3].map((id) => queue.write(plain.insert(id))))
    expect(await first).toEqual(Array(3).fill('UNAVAILABLE'))
    expect(fault.injected).toBe(1)
    expect(await outcomes([4, 5].map((id) => queue.write(plain.insert(id))))).toEqual(['done', 'done'])
    expect(plain.ids()).toEqual([4, 5])
  })

  test('because of a lock is tried again for as long as a write waits', async () => {
    using folder = temporaryFolder()
    using plain = plainTable(folder)
    using fault = failing(plain.raw, 'BEGIN IMMEDIATE', 'SQLITE_BUSY')
    const queue = plain.queue()
    fault.left = 5
    using retries = record('retry', 'asyncEnd')
    expect(await outcomes([1, 2, 3].map((id) => queue.write(plain.insert(id))))).toEqual(['done', 'done', 'done'])
    expect(fault.injected).toBe(5)
    expect(retries.events).toEqual(Array(5).fill({ event: 'commit', reason: 'busy' }))
  })

  test('for ever lets every write settle all the same', async () => {
    using folder = temporaryFolder()
    using plain = plainTable(folder)
    const queue = plain.queue()
    plain.raw.close()
    const settled = await Promise.allSettled(Array.from({ length: 2_500 }, (_, id) => queue.write(() => id)))
    expect(tally(settled.map(({ status }) => status))).toEqual({ rejected: 2_500 })
    await queue.idle()
    expect(queue.length).toBe(0)
  })
})
