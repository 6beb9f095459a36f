/** Every operation, on the library and on the raw driver: the same work on files with the same content. */
import type { RawStore } from '../../bench/raw-store.ts'
import type { Meshstore, PathBundle, PathKey } from '../../src/index.ts'

export interface Operation {
  readonly name: string
  readonly kind: 'read' | 'write'
  readonly targetMs: number
  /** Makes what the calls work on; not timed. */
  readonly prepare?: () => Promise<void>
  /** The `n`th call. Every one finds what it works on, and every write changes something. */
  readonly store: (n: number) => Promise<unknown>
  readonly raw: (n: number) => unknown
}

export interface Subject {
  readonly store: Meshstore
  readonly raw: RawStore
  readonly nodeIds: readonly string[]
  readonly policyId: string
  readonly policyText: string
  readonly rulesCount: number
  readonly bundle: PathBundle
  /** No operation is called more often if it writes. */
  readonly writes: number
}

const EVERY_OPERATION_MS = 1
const READ_BY_KEY_MS = 0.5
const READ_PAGE_MS = 5
const PAGE = 100
const LOOKED_UP = 100
const TTL_SECONDS = 3_600
/** Neighbouring rows would be on the page that was read before. */
const STRIDE = 7_919

/** The five with a target of their own come first. */
export const operations = (subject: Subject): Operation[] => [
  ...namedOperations(subject),
  ...nodeOperations(subject),
  ...policyOperations(subject),
  ...cacheOperations(subject),
]

const nodeOf = (nodeId: string) => ({ nodeId, interfaces: ['wlan0', 'eth0'], protocols: ['batman-adv'] })
const keyOf = (name: string, n: number): PathKey => ({ source: `${name}-${n}`, destination: `${name}-${n + 1}`, k: 3 })
const upTo = <T>(count: number, make: (n: number) => T): T[] => Array.from({ length: count }, (_, n) => make(n))

/** A call that finds nothing would be fast, and prove nothing. */
function found<T>(value: T | undefined): T {
  if (value === undefined || value === false) throw new Error('What was to be worked on is not there.')
  return value
}

function namedOperations(subject: Subject): Operation[] {
  const { store, raw, nodeIds, policyId, policyText, rulesCount } = subject
  const idAt = (n: number): string => nodeIds[(n * STRIDE) % nodeIds.length] ?? ''
  const textAt = (n: number): string => `${policyText}# revision ${n}\n`
  return [
    {
      name: 'insert node',
      kind: 'write',
      targetMs: EVERY_OPERATION_MS,
      store: (n) => store.nodes.create(nodeOf(`new-${n}`)),
      raw: (n) => raw.createNode(nodeOf(`new-${n}`)),
    },
    {
      name: 'read node by id',
      kind: 'read',
      targetMs: READ_BY_KEY_MS,
      store: async (n) => found(await store.nodes.get(idAt(n))),
      raw: (n) => found(raw.node(idAt(n))),
    },
    {
      name: 'update policy',
      kind: 'write',
      targetMs: EVERY_OPERATION_MS,
      store: (n) => store.policies.update(policyId, { yamlContent: textAt(n) }),
      raw: (n) => found(raw.updatePolicy({ policyId, yamlContent: textAt(n), rulesCount })),
    },
    {
      name: 'cache lookup',
      kind: 'read',
      targetMs: READ_BY_KEY_MS,
      prepare: () => cacheSome(subject, 'looked-up', LOOKED_UP),
      store: async (n) => found(await store.pathCache.get(keyOf('looked-up', n % LOOKED_UP))),
      raw: (n) => found(raw.paths(keyOf('looked-up', n % LOOKED_UP))),
    },
    {
      name: `read ${PAGE} nodes`,
      kind: 'read',
      targetMs: READ_PAGE_MS,
      store: (n) => store.nodes.list({ after: idAt(n), limit: PAGE }),
      raw: (n) => raw.nodes(idAt(n), PAGE),
    },
  ]
}

function nodeOperations({ store, raw, writes }: Subject): Operation[] {
  const idAt = (n: number): string => `changed-${n}`
  const changed = (n: number) => ({ ...nodeOf(idAt(n)), interfaces: ['eth1'] })
  const base = { kind: 'write', targetMs: EVERY_OPERATION_MS } as const
  return [
    {
      ...base,
      name: 'update node',
      prepare: async () => {
        const nodes = upTo(writes, (n) => nodeOf(idAt(n)))
        await store.nodes.createMany(nodes)
        raw.createNodes(nodes)
      },
      store: (n) => store.nodes.update(idAt(n), { started: true }),
      raw: (n) => found(raw.startNode(idAt(n), true)),
    },
    {
      ...base,
      name: 'save node',
      store: (n) => store.nodes.save(changed(n)),
      raw: (n) => raw.saveNode(changed(n)),
    },
    {
      ...base,
      name: 'record routes',
      store: (n) => store.nodes.recordRoutes(idAt(n), 3),
      raw: (n) => found(raw.recordRoutes(idAt(n), 3)),
    },
    {
      ...base,
      name: 'transaction: read, update',
      store: (n) =>
        store.transaction(async (tx) => {
          const { started } = found(await tx.nodes.get(idAt(n)))
          return tx.nodes.update(idAt(n), { started: !started })
        }),
      raw: (n) => raw.atomically(() => raw.startNode(idAt(n), !found(raw.node(idAt(n))).started)),
    },
    {
      ...base,
      name: 'delete node',
      store: async (n) => found(await store.nodes.delete(idAt(n))),
      raw: (n) => found(raw.deleteNode(idAt(n))),
    },
  ]
}

function policyOperations({ store, raw, writes, policyText, rulesCount }: Subject): Operation[] {
  const newAt = (n: number) => ({ policyId: `new-${n}`, yamlContent: policyText })
  const changedAt = (n: number) => ({ policyId: `changed-${n}`, yamlContent: `${policyText}# changed\n` })
  const base = { kind: 'write', targetMs: EVERY_OPERATION_MS } as const
  return [
    {
      ...base,
      name: 'insert policy',
      store: (n) => store.policies.create(newAt(n)),
      raw: (n) => raw.createPolicy({ ...newAt(n), rulesCount }),
    },
    {
      ...base,
      kind: 'read',
      name: 'read policy by id',
      store: async () => found(await store.policies.get(newAt(0).policyId)),
      raw: () => found(raw.policy(newAt(0).policyId)),
    },
    {
      ...base,
      kind: 'read',
      name: `list ${PAGE} policies`,
      store: () => store.policies.list({ limit: PAGE }),
      raw: () => raw.policies(PAGE),
    },
    {
      ...base,
      name: 'save policy',
      prepare: async () => {
        const policies = upTo(writes, (n) => ({ ...changedAt(n), yamlContent: policyText }))
        await store.policies.createMany(policies)
        raw.atomically(() => {
          for (const policy of policies) raw.createPolicy({ ...policy, rulesCount })
        })
      },
      store: (n) => store.policies.save(changedAt(n)),
      raw: (n) => raw.savePolicy({ ...changedAt(n), rulesCount }),
    },
    {
      ...base,
      name: 'delete policy',
      store: async (n) => found(await store.policies.delete(changedAt(n).policyId)),
      raw: (n) => found(raw.deletePolicy(changedAt(n).policyId)),
    },
  ]
}

function cacheOperations(subject: Subject): Operation[] {
  const { store, raw, bundle, writes } = subject
  const base = { kind: 'write', targetMs: EVERY_OPERATION_MS } as const
  const options = { ttlSeconds: TTL_SECONDS }
  return [
    {
      ...base,
      name: 'cache paths',
      store: (n) => store.pathCache.set(keyOf('set', n), bundle, options),
      raw: (n) => raw.setPaths(keyOf('set', n), bundle, TTL_SECONDS),
    },
    {
      ...base,
      kind: 'read',
      targetMs: READ_BY_KEY_MS,
      name: 'cached, else compute',
      prepare: () => cacheSome(subject, 'looked-up', LOOKED_UP),
      store: (n) =>
        store.pathCache.getOrCompute(keyOf('looked-up', n % LOOKED_UP), () => {
          throw new Error('What was to be read is not there.')
        }),
      raw: (n) => found(raw.paths(keyOf('looked-up', n % LOOKED_UP))),
    },
    {
      ...base,
      name: 'delete cached paths',
      prepare: () => cacheSome(subject, 'deleted', writes),
      store: async (n) => found(await store.pathCache.delete(keyOf('deleted', n))),
      raw: (n) => found(raw.deletePaths(keyOf('deleted', n))),
    },
  ]
}

async function cacheSome({ store, raw, bundle }: Subject, name: string, entries: number): Promise<void> {
  const keys = upTo(entries, (n) => keyOf(name, n))
  await store.pathCache.setMany(keys.map((key) => ({ key, bundle, ttlSeconds: TTL_SECONDS })))
  raw.atomically(() => {
    for (const key of keys) raw.setPaths(key, bundle, TTL_SECONDS)
  })
}
