/** A disk that fails in the middle of it: what was acknowledged is there, what was refused is not, and it goes on. */
import Sqlite from 'better-sqlite3'
import { afterAll, describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import type { Program } from '../sqlite/support/program.ts'
import { Script } from '../sqlite/support/script.ts'
import { tally } from '../sqlite/support/settled.ts'
import { all } from '../support/expectations.ts'
import { numbered } from '../support/samples.ts'
import type { Order } from './disk-writer.ts'
import { kindsOfDisk } from './disks.ts'
import { notTested, shows } from './shown.ts'

const script = await Script.bundle(new URL('disk-writer.ts', import.meta.url))
let exercised = 0

/** What each write came to. */
class Writes {
  readonly outcomes = new Map<string, string>()
  readonly #program: Program

  constructor(program: Program) {
    this.#program = program
  }

  ask<T>(order: Order): Promise<T> {
    return this.#program.ask<T>(order)
  }

  async create(prefix: string, count: number): Promise<string[]> {
    const nodeIds = Array.from({ length: count }, (_, index) => numbered(prefix, index))
    const codes = await this.ask<string[]>({ do: 'create', nodeIds })
    for (const [index, nodeId] of nodeIds.entries()) this.outcomes.set(nodeId, codes[index] ?? '')
    return codes
  }

  async transaction(prefix: string, count: number): Promise<string> {
    const nodeIds = Array.from({ length: count }, (_, index) => numbered(prefix, index))
    const code = await this.ask<string>({ do: 'transaction', nodeIds })
    for (const nodeId of nodeIds) this.outcomes.set(nodeId, code)
    return code
  }

  with(...codes: string[]): string[] {
    return [...this.outcomes].filter(([, code]) => codes.includes(code)).map(([nodeId]) => nodeId)
  }
}

describe.each(kindsOfDisk)('$name', ({ name, writing, backingUp, make }) => {
  test('loses nothing, keeps nothing that was refused, and the store goes on when it is healed', async () => {
    const made = make()
    if (made === undefined) {
      notTested(name, 'It needs root, or another system.')
      return
    }
    exercised++
    using disk = made
    const path = disk.folder.file('mesh.db')
    await using program = script.start()
    const writes = new Writes(program)
    // A database of 2 MB, and a log that is empty.
    await writes.ask({ do: 'open', path })
    expect(tally(await writes.create('before', 1_000))).toEqual({ done: 1_000 })
    await writes.ask({ do: 'close' })
    await writes.ask({ do: 'open', path })
    expect(tally(await writes.create('at-first', 10))).toEqual({ done: 10 })

    disk.fill(program.pid, path)
    const seen: string[] = []
    for (let round = 0; round < 20; round++) {
      seen.push(...(await writes.create(`round-${round}`, 20)))
      seen.push(await writes.transaction(`transaction-${round}`, 20))
    }
    const counts = tally(seen)
    console.log(`${name}: ${JSON.stringify(counts)}`)
    // Both happened, and nothing else did.
    expect(counts).toEqual({ done: expect.any(Number), [writing]: expect.any(Number) })
    // Readers go on meanwhile.
    const readable = new Set(await writes.ask<string[]>({ do: 'read' }))
    expect(writes.with('done').filter((nodeId) => !readable.has(nodeId))).toEqual([])
    const backup: Order = { do: 'backup', target: disk.folder.file('backups', 'mesh.backup') }
    const refused = await writes.ask<{ outcome: string; left: string[] }>(backup)
    expect(refused).toEqual({ outcome: backingUp, left: [] })

    disk.heal(program.pid)
    expect(tally(await writes.create('after', 100))).toEqual({ done: 100 })
    expect(await writes.transaction('after-transaction', 20)).toBe('done')
    expect(await writes.ask(backup)).toEqual({ outcome: 'done', left: ['mesh.backup', 'mesh.backup.manifest.json'] })
    expect(await program.kill()).toEqual({ code: null, signal: 'SIGKILL' })

    const raw = new Sqlite(path)
    expect(raw.pragma('integrity_check', { simple: true })).toBe('ok')
    raw.close()
    await using store = await openStorage(path)
    const there = new Set((await all(store.nodes.iterate())).map(({ nodeId }) => nodeId))
    expect(writes.with('done').filter((nodeId) => !there.has(nodeId))).toEqual([])
    expect(writes.with('STORAGE_FULL').filter((nodeId) => there.has(nodeId))).toEqual([])
    shows(`${name}: ${counts.done} writes done, ${counts[writing]} ${writing}, none lost, none there that was refused`)
    // Of a transaction all is there, or nothing.
    for (let round = 0; round < 20; round++) {
      const rows = [...there].filter((nodeId) => nodeId.startsWith(`transaction-${round}-`))
      expect([0, 20]).toContain(rows.length)
    }
  })
})

afterAll(() => {
  expect(exercised, 'No disk could be made to fail here.').toBeGreaterThan(0)
})
