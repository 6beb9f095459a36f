/** A Python application and the library on the same file. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { temporaryFolder } from '../support/folders.ts'
import { sqliteProgram } from '../support/other-program.ts'
import { manyNodes, node } from '../support/samples.ts'
import { Program } from './support/program.ts'
import { Script } from './support/script.ts'

interface Rows {
  readonly nodes: [string, string[], string[], boolean, number, string, string][]
  readonly policies: [string, string, number, string, string][]
  readonly paths: [string, string, string, number, unknown, string, string][]
}

const plain = await Script.bundle(new URL('programs/plain.ts', import.meta.url))
const MESH = fileURLToPath(new URL('programs/mesh.py', import.meta.url))

const programs: { name: string; start: (path: string) => Program }[] = [
  { name: 'the bare driver', start: (path) => plain.start([path]) },
]
const python = spawnSync('python3', ['-c', 'import sqlite3; print(sqlite3.sqlite_version)'], { encoding: 'utf8' })
if (python.status === 0) {
  console.log(`Python has SQLite ${python.stdout.trim()}`)
  programs.push({ name: 'Python', start: (path) => new Program('python3', [MESH, path]) })
} else {
  console.warn('NO PYTHON HERE: what it does is tested by the bare driver alone. Install python3 to test it itself.')
}

const secondsOf = (bits: string): number => Buffer.from(bits, 'hex').readDoubleBE()
const bitsOf = (time: Date): string => {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(time.getTime() / 1000)
  return bytes.toString('hex')
}

describe.each(programs)('$name', ({ start }) => {
  test('reads what the library wrote, to the last bit', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    const times = [0, 1, 1_762_300_800_123, 1_762_300_800_999, -86_400_001, 4_102_444_799_999].map((ms) => new Date(ms))
    const store = await openStorage(path)
    const nodes = await store.nodes.createMany(
      times.map((createdAt, index) =>
        node(`n${index}-ü😀`, { createdAt, started: index % 2 === 1, routesDiscovered: index }),
      ),
    )
    const policy = await store.policies.create({ policyId: 'p', yamlContent: '# ünïcode 😀\nrules: [a, b]\r\n' })
    const bundle = { source: 'a:b', destination: '😀', primary: [{ nodes: ['a:b', '😀'], reliability_product: 0.1 }] }
    const entry = await store.pathCache.set({ source: 'a:b', destination: '😀', k: 3 }, bundle)

    await using program = start(path)
    const read = await program.ask<Rows>({ do: 'read' })
    expect(read.nodes).toEqual(
      nodes.map((row) => [
        row.nodeId,
        row.interfaces,
        row.protocols,
        row.started,
        row.routesDiscovered,
        bitsOf(row.createdAt),
        bitsOf(row.updatedAt),
      ]),
    )
    expect(read.policies).toEqual([['p', policy.yamlContent, 2, bitsOf(policy.createdAt), bitsOf(policy.updatedAt)]])
    expect(read.paths).toEqual([
      ['a%3Ab:😀:3', 'a:b', '😀', 3, bundle, bitsOf(entry.createdAt), bitsOf(entry.expiresAt)],
    ])
    await store.close()
    expect(await program.ask<Rows>({ do: 'read' })).toEqual(read)
  })

  test('writes rows by position that the library reads', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    // Each write of the program is a policy, too.
    await using store = await openStorage({ url: path, pathCache: { invalidation: 'manual' } })
    await using program = start(path)
    // At several moments: microseconds are rounded up or down.
    const moments: Date[] = []
    const toMilliseconds = (bits: string): Date => new Date(Math.floor(secondsOf(bits) * 1000 + 0.5))
    for (let moment = 0; moment < 10; moment++) {
      const nodeId = `python-${moment}`
      moments.push(toMilliseconds(await program.ask<string>({ do: 'write', with: [nodeId, 60] })))
    }
    const listed = await store.nodes.list({ after: 'python-', interface: 'wlan0' })
    expect(listed.map(({ createdAt }) => createdAt)).toEqual(moments)

    const milliseconds = toMilliseconds(await program.ask<string>({ do: 'write', with: ['python', 60] }))
    await program.ask<string>({ do: 'write', with: ['expired', -1] })
    const times = { createdAt: milliseconds, updatedAt: milliseconds }
    const found = await store.nodes.get('python')
    expect(found).toEqual({
      nodeId: 'python',
      interfaces: ['eth0', 'wlan0'],
      protocols: ['batman-adv', 'ü'],
      started: true,
      routesDiscovered: 7,
      ...times,
    })
    expect(await store.nodes.list({ started: true, protocol: 'ü', interface: 'eth0' })).toHaveLength(12)
    const policy = { policyId: 'python', yamlContent: 'rules:\n  - a: ü\n', rulesCount: 1, ...times }
    expect(await store.policies.get('python')).toEqual(policy)
    const key = { source: 'python', destination: 'z', k: 3 }
    const bundle = { source: 'python', destination: 'z', primary: [{ nodes: ['python', 'z'], total_weight: 1.5 }] }
    expect(await store.pathCache.get(key)).toEqual(bundle)
    expect((await store.pathCache.getEntry(key))?.createdAt).toEqual(milliseconds)
    expect(await store.pathCache.get({ ...key, source: 'expired' })).toBeUndefined()
  })

  test('finds what it wrote again, where the library has changed something else', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    await using program = start(path)
    const written = await program.ask<string>({ do: 'write', with: ['python', 60] })
    const other = sqliteProgram(path)
    const before = await other.row('nodes', 'python')

    await store.nodes.recordRoutes('python', 3)
    expect(await other.row('nodes', 'python')).toEqual({ ...before, routes_discovered: 10 })
    const read = await store.nodes.get('python')
    if (read === undefined) throw new Error('It was written.')
    const updated = await store.nodes.update('python', { started: false }, { ifUpdatedAt: read.updatedAt })
    await store.nodes.save(updated)

    const { nodes } = await program.ask<Rows>({ do: 'read' })
    const [row] = nodes
    expect(row?.slice(0, 5)).toEqual(['python', ['eth0', 'wlan0'], ['batman-adv', 'ü'], false, 10])
    // The microseconds of its creation are still there.
    expect(row?.[5]).toBe(written)
    expect(secondsOf(row?.[6] ?? '')).toBeGreaterThan(secondsOf(written))
  })

  test('and the library write at the same time, and neither loses anything', async () => {
    using folder = temporaryFolder()
    const path = folder.file('mesh.db')
    await using store = await openStorage(path)
    await using program = start(path)
    const count = 150
    let seenFromHere = 0
    const others = program.ask<number>({ do: 'write_many', with: ['python-', count] })
    let running = true
    others.finally(() => {
      running = false
    })
    let ours = 0
    for (; running || ours < 10; ours++) {
      await Promise.all(manyNodes(10, `ours-${ours}`).map((each) => store.nodes.create(each)))
      await store.transaction((tx) => tx.policies.save({ policyId: 'ours', yamlContent: `round: ${ours}` }))
      seenFromHere = Math.max(seenFromHere, await store.nodes.count({ protocol: 'ü' }))
    }
    expect(await others).toBe(count)
    expect(seenFromHere).toBeGreaterThan(0)
    expect(await store.nodes.count({ protocol: 'ü' })).toBe(count)
    expect(await store.nodes.count()).toBe(count + ours * 10)
    expect(await store.policies.count()).toBe(count + 1)
    expect((await store.stats()).rows.pathCache).toBe(count)
    const read = await program.ask<Rows>({ do: 'read' })
    expect(read.nodes).toHaveLength(count + ours * 10)
  })
})
