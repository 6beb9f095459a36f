/** `npm run demo`, as a user runs it, and its main job on every real topology that is at hand. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterAll, describe, expect, test } from 'vitest'
import { backUpAndRestore, sameRows } from '../examples/demo/copies.ts'
import { judge } from '../examples/demo/crash.ts'
import { nodesOfWrite, PAIR_EVERY } from '../examples/demo/crash-rows.ts'
import type { DemoReport } from '../examples/demo/demo.ts'
import { load } from '../examples/demo/mesh.ts'
import { pairsOf } from '../examples/demo/pairs.ts'
import { silent } from '../examples/demo/progress.ts'
import { nodesOf, readTopology, readTopologyFile } from '../examples/demo/topology.ts'
import { openStorage } from '../src/index.ts'
import { temporaryFolder } from './support/folders.ts'

const MAIN = join(import.meta.dirname, '../examples/demo/main.ts')
const ABILENE = join(import.meta.dirname, '../examples/abilene.json')
/** Maps that others made, beside the repository, if they are there. */
const REAL = join(import.meta.dirname, '../../shared/data/topologies')

const MAIN_OF_COMMAND = join(import.meta.dirname, '../src/cli/main.ts')
const BACKUP_PAGE = readFileSync(join(import.meta.dirname, '../docs/operations/backup.md'), 'utf8')

const demo = (...args: string[]) => spawnSync(process.execPath, [MAIN, ...args], { encoding: 'utf8' })

describe('npm run demo', () => {
  const folder = temporaryFolder()
  afterAll(() => folder[Symbol.dispose]())
  const file = folder.file('mesh.db')

  test('shows what it says, and keeps the database', async () => {
    const { status, stdout, stderr } = demo('--quick', '--json', '--db', file)
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const report: DemoReport = JSON.parse(stdout)

    expect(report).toMatchObject({ file, sameAfterReopening: true, failures: [] })
    expect(report.loaded).toMatchObject({
      topologies: [{ label: 'Abilene', nodes: 11, unlisted: 0, links: 14 }],
      nodes: 11,
      bundles: 110,
      filled: { nodes: 4_989 },
    })
    expect(report.loaded.policies.map(({ rulesCount }) => rulesCount)).toEqual([3, 2, 2])
    expect(report.backup).toMatchObject({
      rows: { nodes: 5_000, policies: 3, pathCache: 110 },
      hashesEqual: true,
      rowsEqual: true,
    })
    for (const timings of Object.values(report.timings)) {
      expect(timings.slice(0, 5).map(({ name, targetMs }) => [name, targetMs])).toEqual([
        ['insert node', 1],
        ['read node by id', 0.5],
        ['update policy', 1],
        ['cache lookup', 0.5],
        ['read 100 nodes', 5],
      ])
      for (const { store, raw } of timings) expect(Math.min(store.p50, raw.p50)).toBeGreaterThan(0)
    }
    for (const { acknowledged, found, unacknowledged, torn, integrity } of report.crashes) {
      expect(acknowledged).toBeGreaterThanOrEqual(100)
      expect(unacknowledged).toBeGreaterThan(0)
      expect({ found, torn, integrity }).toEqual({ found: acknowledged, torn: 0, integrity: 'ok' })
    }
    expect(report.crashes).toHaveLength(1)
    expect(readdirSync(folder.path)).toEqual(['mesh.db'])

    await using store = await openStorage({ url: file, readOnly: true })
    expect(await store.nodes.get('abilene-6')).toMatchObject({
      interfaces: ['if0', 'if1', 'if2'],
      protocols: ['static'],
      started: true,
    })
    expect(await store.nodes.count()).toBe(5_000)
  })

  test('its last backup is restored by the commands in the documents', () => {
    const [, commands = ''] =
      /```sh\n(npx meshstore backup create [^\n]*\nnpx meshstore restore [^\n]*\n)```/.exec(BACKUP_PAGE) ?? []
    expect(commands.split('\n')).toHaveLength(3)
    const bin = temporaryFolder()
    // As npx would run the package that is installed.
    writeFileSync(bin.file('npx'), `#!/bin/sh\nshift\nexec '${process.execPath}' '${MAIN_OF_COMMAND}' "$@"\n`, {
      mode: 0o755,
    })
    const env = { PATH: `${bin.path}:${process.env.PATH}` }
    const done = spawnSync('sh', ['-ec', commands], { cwd: folder.path, env, encoding: 'utf8' })
    expect(done).toMatchObject({ status: 0, stderr: '', stdout: expect.stringMatching(/^Made .*\n(.*\n)?Restored /) })
    expect(sameRows(file, folder.file('restored.db'))).toBe(true)
    bin[Symbol.dispose]()
  })

  test.each([
    ['no JSON', 'nodes:', /is no JSON/],
    ['another kind of NetJSON', '{"type":"NetworkRoutes"}', /"type" must be "NetworkGraph", and is "NetworkRoutes"/],
    ['no nodes', '{"type":"NetworkGraph","links":[]}', /"nodes" must be a list/],
    ['a node without id', '{"type":"NetworkGraph","nodes":[{}],"links":[]}', /nodes\[0\]\.id must be a text/],
    [
      'a link without cost',
      '{"type":"NetworkGraph","nodes":[],"links":[{"source":"a","target":"b"}]}',
      /links\[0\]\.cost must be a number/,
    ],
  ])('refuses %s, and writes nothing', (_, text, problem) => {
    using folder = temporaryFolder()
    const topology = folder.file('topology.json')
    writeFileSync(topology, text)
    const { status, stderr } = demo('--db', folder.file('mesh.db'), topology)
    expect(status).toBe(2)
    expect(stderr).toMatch(problem)
    expect(readdirSync(folder.path)).toEqual(['topology.json'])
  })

  test('never replaces a file', () => {
    using folder = temporaryFolder()
    const file = folder.file('mesh.db')
    writeFileSync(file, 'mine')
    const { status, stderr } = demo('--db', file)
    expect(status).toBe(2)
    expect(stderr).toContain('nothing is ever replaced')
    expect(readFileSync(file, 'utf8')).toBe('mine')
  })
})

describe('what the demo finds', () => {
  test('a row that differs', async () => {
    using folder = temporaryFolder()
    const [backup, restored] = [folder.file('backup.db'), folder.file('restored.db')]
    await using store = await openStorage(folder.file('mesh.db'))
    await store.nodes.create({ nodeId: 'a', interfaces: [], protocols: [] })
    expect(await backUpAndRestore(store, { backup, restored })).toMatchObject({ hashesEqual: true, rowsEqual: true })
    const raw = new Sqlite(restored)
    raw.exec('UPDATE nodes SET updated_at = updated_at + 0.001')
    raw.close()
    expect(sameRows(backup, restored)).toBe(false)
  })

  test('a write that is lost, one that is changed, and half a transaction', async () => {
    await using store = await openStorage('sqlite::memory:')
    const begun = new Set([0, 1, 2, 3, PAIR_EVERY])
    for (const n of [1, 2, PAIR_EVERY]) await store.nodes.createMany(nodesOfWrite(n))
    await store.nodes.createMany(nodesOfWrite(0).slice(0, 1))
    await store.nodes.recordRoutes(nodesOfWrite(2)[0]?.nodeId ?? '')
    expect(await judge(store, { begun, acknowledged: new Set([1, 2, 3]) })).toEqual({
      acknowledged: 3,
      found: 1,
      unacknowledged: 2,
      unacknowledgedFound: 1,
      torn: 1,
    })
  })
})

test('the demo asks for every ordered pair, or evenly among them', () => {
  const all = pairsOf(['a', 'b', 'c'], 100).map(({ source, destination }) => source + destination)
  expect(all).toEqual(['ab', 'ac', 'ba', 'bc', 'ca', 'cb'])
  expect(pairsOf(['a', 'b', 'c'], 3)).toHaveLength(3)
  expect(pairsOf(['a'], 3)).toEqual([])
})

test('nodes have the protocols and interfaces that the links of all files show', () => {
  const graph = (protocol: string, links: object[]): string =>
    JSON.stringify({ type: 'NetworkGraph', protocol, nodes: [{ id: 'a' }, { id: 'b' }], links })
  const wifi = { source: 'a', target: 'c', cost: 1, properties: { type: 'wifi' } }
  const topologies = [graph('batman-adv', [wifi, { ...wifi, target: 'd' }]), graph('olsr', [])]
  expect(nodesOf(topologies.map((text) => readTopology(text, 'a test')))).toEqual([
    { nodeId: 'a', interfaces: ['wifi0'], protocols: ['batman-adv', 'olsr'], started: true },
    { nodeId: 'b', interfaces: [], protocols: ['batman-adv', 'olsr'], started: false },
    { nodeId: 'c', interfaces: ['wifi0'], protocols: ['batman-adv'], started: true },
    { nodeId: 'd', interfaces: ['wifi0'], protocols: ['batman-adv'], started: true },
  ])
})

describe('real topologies', () => {
  const files = existsSync(REAL) ? readdirSync(REAL).filter((file) => file.endsWith('.json')) : []
  if (files.length === 0) {
    console.warn(`\n*** NOT TESTED: real topologies. There are none in ../shared/data/topologies. ***\n`)
    test.skip('none are there', () => {})
  }

  test.each(files)('%s is stored, and comes back as it was', async (name) => {
    using folder = temporaryFolder()
    const topology = readTopologyFile(join(REAL, name))
    const nodes = nodesOf([topology])
    const file = folder.file('mesh.db')
    const loaded = await openAndLoad()
    expect(loaded).toMatchObject({ nodes: topology.nodeIds.length, bundles: Math.min(100, pairs(topology.nodeIds)) })

    await using store = await openStorage({ url: file, readOnly: true })
    const stored = await store.nodes.getMany(nodes.map(({ nodeId }) => nodeId))
    expect(stored).toMatchObject(nodes)
    const links = new Set(
      topology.links.flatMap(({ source, target }) => [`${source} ${target}`, `${target} ${source}`]),
    )
    let paths = 0
    for await (const { source, destination, bundle } of store.pathCache.iterate()) {
      for (const path of bundle.primary) {
        paths++
        expect([path.nodes[0], path.nodes.at(-1)]).toEqual([source, destination])
        const steps = path.nodes.slice(1).map((node, index) => `${path.nodes[index]} ${node}`)
        expect(steps.filter((step) => !links.has(step))).toEqual([])
      }
    }
    expect(paths).toBeGreaterThan(0)

    async function openAndLoad() {
      await using store = await openStorage(file)
      return await load(store, [topology], { nodes: 1, bundles: 100 }, silent)
    }
  })

  const pairs = (ids: readonly string[]): number => ids.length * (ids.length - 1)

  test.skipIf(files.length === 0)('Abilene is the one in examples/', () => {
    expect(readTopologyFile(ABILENE)).toEqual(readTopologyFile(join(REAL, 'zoo-abilene.json')))
  })
})
