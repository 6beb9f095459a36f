/** Many clients that make every call of the repositories, singly and in transactions, whatever comes of it. */
import type { MeshNode, NewMeshNode, Policy, Repositories, StorageErrorCode } from '../../../src/index.ts'
import { cacheKey } from '../../../src/schema/path-bundle.ts'
import { bundle } from '../../support/samples.ts'
import type { AppStore, AppTransaction } from '../../tables/app/stages.ts'
import { integerFrom } from '../random.ts'
import { atOnce, CLIENTS, outcomeOf, PATIENCE, type Run, Thrown } from './clients.ts'
import { OwnCaller } from './own-calls.ts'
import { ABSENT, codeOf, exactly, Recorder, seenIn, unless } from './recorder.ts'
import type { RowStep, RowTransaction, Seen } from './rows.ts'

/** Rows are worked on for so many turns; then others take their place. */
const TURNS_PER_ROUND = 60
const NODES = 4
const POLICIES = 2
const ENDS = 2

const versionOf = ({ protocols, routesDiscovered, started }: MeshNode): string =>
  `${protocols[1]}/${routesDiscovered}/${started ? 1 : 0}`
const nodeRow = (id: string): string => `nodes:${id}`
const policyRow = (id: string): string => `policies:${id}`
const pathRow = (key: string): string => `path_cache:${key}`

/** How often each call came to what. */
export type Outcomes = Map<string, number>

type On = Pick<AppTransaction, 'nodes' | 'policies' | 'pathCache' | 'tables' | 'query' | 'run'>

export interface CallRun extends Run<AppStore> {
  /** Creations and deletions by key alone, so that no predicate is in the way of others, of our tables or of an own one. */
  readonly narrow?: 'ours' | 'own' | undefined
  /** Queries of a transaction run outside of it, on another store: the checker must find what comes of it. */
  readonly careless?: boolean | undefined
}

/** The share of calls on own tables. */
const OWN = 0.45
/** The share of transactions that undo a savepoint: what its callback has seen must hold nevertheless. */
const UNDONE = 0.2
const UNDO = new Error('The savepoint is undone.')

export async function callAtRandom(run: CallRun): Promise<{ history: RowTransaction[]; outcomes: Outcomes }> {
  const history: RowTransaction[] = []
  const outcomes: Outcomes = new Map()
  let tags = 0
  await atOnce(run, async (store, random, turn, client) => {
    const round = String(Math.floor(turn / TURNS_PER_ROUND)).padStart(5, '0')
    const { narrow, careless = false } = run
    const single = narrow === undefined && random() < 0.35
    const readOnly = !single && narrow === undefined && random() < 0.1
    const calls = Array.from({ length: single ? 1 : integerFrom(random, 1, 4) }, () => ({
      at: random(),
      isOwn: narrow === undefined ? random() < OWN : narrow === 'own',
    }))
    const throws = !single && !readOnly && random() < 0.05
    const attempts: RowStep[][] = []
    const make = async (given: On, steps: RowStep[], some = calls): Promise<Caller> => {
      const { nodes, policies, pathCache, tables, run: change } = given
      const query = (careless ? (run.stores.find((each) => each !== store) ?? given) : given).query
      const on: On = { nodes, policies, pathCache, tables, query, run: change }
      const options = { on, steps, random, round, client, single, tag: () => `t${++tags}` }
      const caller = new Caller(options)
      const own = new OwnCaller({ ...options, versionOf })
      for (const { at, isOwn } of some)
        await (isOwn ? own : caller).call(at, narrow !== undefined ? 'narrow' : readOnly ? 'read' : 'all')
      return caller
    }
    const attempt = (): RowStep[] => {
      const steps: RowStep[] = []
      attempts.push(steps)
      return steps
    }
    const work = async (tx: AppTransaction): Promise<void> => {
      const steps = attempt()
      const isUndone = narrow === undefined && !readOnly && random() < UNDONE
      if (isUndone) steps.push(...(await undone(tx, (nested, inside) => make(nested, inside, calls.slice(0, 1)))))
      const caller = await make(tx, steps, isUndone ? calls.slice(1) : calls)
      // A deletion has no name of its own; this has.
      if (steps.some((step) => 'deleted' in step && step.deleted > 0)) await caller.named()
      if (throws) throw new Thrown()
    }
    const begun = performance.now()
    const outcome = await outcomeOf(
      single ? make(store, attempt()).then(() => {}) : store.transaction(work, { ...PATIENCE, readOnly }),
    )
    const ended = performance.now()
    const last = attempts.pop() ?? []
    for (const steps of attempts) history.push({ client, steps, begun, ended, outcome: 'aborted' })
    history.push({ client, steps: last, begun, ended, outcome })
    if (outcome === 'committed') for (const step of last) count(outcomes, step)
  })
  return { history, outcomes }
}

/** Runs `work` in a savepoint, and undoes it. Returns what is known by it. */
async function undone(
  tx: AppTransaction,
  work: (nested: AppTransaction, inside: RowStep[]) => Promise<unknown>,
): Promise<RowStep[]> {
  const inside: RowStep[] = []
  const undoing = tx.transaction(async (nested) => {
    await work(nested, inside)
    throw UNDO
  })
  await undoing.catch((error) => {
    if (error !== UNDO) throw error
  })
  return seenIn(inside)
}

function count(outcomes: Outcomes, step: RowStep): void {
  const came =
    'saw' in step
      ? step.saw.is === 'version' && step.saw.version !== null
        ? 'found'
        : JSON.stringify(step.saw.is)
      : 'wrote' in step
        ? 'wrote'
        : 'deleted' in step
          ? `deleted ${Math.min(step.deleted, 1)}`
          : 'changed' in step
            ? `changed ${Math.min(step.changed, 1)}`
            : 'counted'
  const name = `${step.call}: ${came}`
  outcomes.set(name, (outcomes.get(name) ?? 0) + 1)
}

interface CallerOptions {
  readonly on: Repositories
  readonly steps: RowStep[]
  readonly random: () => number
  /** Its number, of five digits. */
  readonly round: string
  readonly client: number
  /** A call by itself. */
  readonly single: boolean
  readonly tag: () => string
}

class Caller {
  readonly #options: CallerOptions
  readonly #note: Recorder
  /** The row that was read, which an update then expects. */
  #read: MeshNode | undefined
  #readPolicy: Policy | undefined

  constructor(options: CallerOptions) {
    this.#options = options
    this.#note = new Recorder(options.steps)
  }

  async call(at: number, which: 'all' | 'read' | 'narrow'): Promise<void> {
    const { create, createMany, remove, createPolicy, removePolicy } = this.#writes
    const [reads, writes] = [this.#reads, Object.values(this.#writes)]
    const narrow = [create, createMany, remove, createPolicy, removePolicy]
    const calls = which === 'narrow' ? narrow : which === 'read' ? reads : [...reads, ...writes, ...writes]
    await calls[Math.floor(at * calls.length)]?.()
  }

  async named(): Promise<void> {
    const id = `x${this.#options.tag()}`
    this.#note.wrote('nodes.save', nodeRow(id), versionOf(await this.#on.nodes.save(this.#newNode(id, 'other'))))
  }

  readonly #reads = [
    async () => {
      const id = this.#node()
      this.#read = await this.#on.nodes.get(id)
      this.#note.saw('nodes.get', nodeRow(id), this.#read && versionOf(this.#read))
    },
    async () => {
      const ids = [...new Set([this.#node(), this.#node()])]
      const found = new Map((await this.#on.nodes.getMany(ids)).map((each) => [each.nodeId, versionOf(each)]))
      for (const id of ids) this.#note.saw('nodes.getMany', nodeRow(id), found.get(id))
    },
    async () => this.#listed('nodes.list', await this.#on.nodes.list({ protocol: this.#protocol }), false),
    async () => {
      const found = await this.#on.nodes.list({ protocol: this.#protocol, started: true })
      this.#listed('nodes.list started', found, true)
    },
    async () => {
      const found: MeshNode[] = []
      for await (const each of this.#on.nodes.iterate({ protocol: this.#protocol })) found.push(each)
      this.#listed('nodes.iterate', found, false)
    },
    async () => {
      const started = this.#random() < 0.5 ? true : undefined
      const counted = await this.#on.nodes.count({ protocol: this.#protocol, started })
      const rows = this.#nodes.map(nodeRow)
      this.#note.counted('nodes.count', rows, counted, started === true)
    },
    async () => {
      const id = this.#policy()
      this.#readPolicy = await this.#on.policies.get(id)
      this.#note.saw('policies.get', policyRow(id), this.#readPolicy?.yamlContent)
    },
    async () => {
      // An iteration by itself asks for several pages, of several moments.
      const page = this.#options.single || this.#random() < 0.5
      const after = `p${this.#round}-`
      const found = new Set<string>()
      if (page) for (const each of await this.#on.policies.list({ after, limit: 100 })) found.add(each.policyId)
      else for await (const each of this.#on.policies.iterate()) found.add(each.policyId)
      for (const id of this.#policies) {
        const saw: Seen = found.has(id) ? { is: 'present' } : ABSENT
        this.#note.looked(page ? 'policies.list' : 'policies.iterate', policyRow(id), saw)
      }
    },
    async () => void (await this.#on.policies.count()),
    async () => {
      const key = this.#path()
      const found = await this.#on.pathCache.get(key)
      this.#note.saw('pathCache.get', pathRow(cacheKey(key)), found?.primary[0]?.path_id)
    },
    async () => {
      const key = this.#path()
      const found = await this.#on.pathCache.getEntry(key)
      this.#note.saw('pathCache.getEntry', pathRow(cacheKey(key)), found?.bundle.primary[0]?.path_id)
    },
    async () => {
      const { source } = this.#path()
      const found = new Map<string, string | undefined>()
      const note = (each: Awaited<ReturnType<Repositories['pathCache']['list']>>[number]): void =>
        void found.set(each.cacheKey, each.bundle.primary[0]?.path_id)
      if (this.#random() < 0.5) for (const each of await this.#on.pathCache.list({ source })) note(each)
      else for await (const each of this.#on.pathCache.iterate({ source })) note(each)
      for (const key of this.#pathsFrom(source)) this.#note.saw('pathCache.list', pathRow(key), found.get(key))
    },
    async () => {
      const { source } = this.#path()
      const counted = await this.#on.pathCache.count({ source })
      const rows = this.#pathsFrom(source).map(pathRow)
      this.#note.counted('pathCache.count', rows, counted, false)
    },
  ]

  readonly #writes = {
    create: async () => {
      const id = this.#node()
      const created = await unless('ALREADY_EXISTS', () => this.#on.nodes.create(this.#newNode(id)))
      if (created === undefined) this.#note.present('nodes.create', nodeRow(id))
      else this.#note.wrote('nodes.create', nodeRow(id), versionOf(created))
    },
    createMany: async () => {
      const id = this.#node()
      // The other one cannot be there.
      const nodes = [this.#newNode(`x${this.#options.tag()}`, 'other'), this.#newNode(id)]
      const created = await unless('ALREADY_EXISTS', () => this.#on.nodes.createMany(nodes))
      if (created === undefined) this.#note.present('nodes.createMany', nodeRow(id))
      for (const each of created ?? []) this.#note.wrote('nodes.createMany', nodeRow(each.nodeId), versionOf(each))
    },
    update: async () => {
      const id = this.#node()
      const { protocols, started } = this.#newNode(id)
      const updated = await unless('NOT_FOUND', () => this.#on.nodes.update(id, { protocols, started }))
      if (updated === undefined) this.#note.saw('nodes.update', nodeRow(id), undefined)
      else this.#note.wrote('nodes.update', nodeRow(id), versionOf(updated))
    },
    updateExpected: async () => {
      if (this.#read === undefined && !this.#options.single) await this.#reads[0]?.()
      const read = this.#read
      if (read === undefined) return
      const { nodeId, updatedAt } = read
      const { protocols, started } = this.#newNode(nodeId)
      let came: StorageErrorCode | undefined
      const options = { ifUpdatedAt: updatedAt }
      const updated = await this.#on.nodes.update(nodeId, { protocols, started }, options).catch((error: unknown) => {
        came = codeOf(error, ['NOT_FOUND', 'CONFLICT'])
        return undefined
      })
      const call = 'nodes.update ifUpdatedAt'
      if (updated !== undefined) this.#note.wrote(call, nodeRow(nodeId), versionOf(updated))
      else if (came === 'NOT_FOUND') this.#note.saw(call, nodeRow(nodeId), undefined)
      else {
        const saw: Seen = { is: 'present', not: `${read.protocols[1]}/` }
        this.#note.looked(`${call} CONFLICT`, nodeRow(nodeId), saw)
      }
      this.#read = undefined
    },
    save: async () => {
      const id = this.#node()
      this.#note.wrote('nodes.save', nodeRow(id), versionOf(await this.#on.nodes.save(this.#newNode(id))))
    },
    saveMany: async () => {
      const ids = [...new Set([this.#node(), this.#node()])]
      const saved = await this.#on.nodes.saveMany(ids.map((id) => this.#newNode(id)))
      for (const each of saved) this.#note.wrote('nodes.saveMany', nodeRow(each.nodeId), versionOf(each))
    },
    recordRoutes: async () => {
      const id = this.#node()
      const recorded = await unless('NOT_FOUND', () => this.#on.nodes.recordRoutes(id))
      if (recorded === undefined) this.#note.saw('nodes.recordRoutes', nodeRow(id), undefined)
      else this.#note.wrote('nodes.recordRoutes', nodeRow(id), versionOf(recorded))
    },
    remove: async () => {
      const id = this.#owned(this.#nodes)
      this.#note.deleted('nodes.delete', [nodeRow(id)], Number(await this.#on.nodes.delete(id)))
    },
    createPolicy: async () => {
      const id = this.#policy()
      const yamlContent = this.#text()
      const created = await unless('ALREADY_EXISTS', () => this.#on.policies.create({ policyId: id, yamlContent }))
      if (created === undefined) this.#note.present('policies.create', policyRow(id))
      else this.#note.wrote('policies.create', policyRow(id), yamlContent)
    },
    createPolicies: async () => {
      const id = this.#policy()
      const policies = [`x${this.#options.tag()}`, id].map((policyId) => ({ policyId, yamlContent: this.#text() }))
      const created = await unless('ALREADY_EXISTS', () => this.#on.policies.createMany(policies))
      if (created === undefined) this.#note.present('policies.createMany', policyRow(id))
      for (const each of created ?? [])
        this.#note.wrote('policies.createMany', policyRow(each.policyId), each.yamlContent)
    },
    updatePolicy: async () => {
      const read = this.#random() < 0.5 ? this.#readPolicy : undefined
      const id = read?.policyId ?? this.#policy()
      const yamlContent = this.#text()
      let came: StorageErrorCode | undefined
      const updated = await this.#on.policies
        .update(id, { yamlContent }, { ifUpdatedAt: read?.updatedAt })
        .catch((error: unknown) => {
          came = codeOf(error, ['NOT_FOUND', 'CONFLICT'])
          return undefined
        })
      if (updated !== undefined) this.#note.wrote('policies.update', policyRow(id), yamlContent)
      else if (came === 'NOT_FOUND') this.#note.saw('policies.update', policyRow(id), undefined)
      else {
        const saw: Seen = { is: 'present', not: read?.yamlContent ?? '' }
        this.#note.looked('policies.update CONFLICT', policyRow(id), saw)
      }
      this.#readPolicy = undefined
    },
    savePolicy: async () => {
      const [policyId, yamlContent] = [this.#policy(), this.#text()]
      await this.#on.policies.save({ policyId, yamlContent })
      this.#note.wrote('policies.save', policyRow(policyId), yamlContent)
    },
    removePolicy: async () => {
      const id = this.#owned(this.#policies)
      this.#note.deleted('policies.delete', [policyRow(id)], Number(await this.#on.policies.delete(id)))
    },
    set: async () => {
      const key = this.#path()
      const tag = this.#options.tag()
      await this.#on.pathCache.set(key, bundleOf(key, tag), { ttlSeconds: 86_400 })
      this.#note.wrote('pathCache.set', pathRow(cacheKey(key)), tag)
    },
    setMany: async () => {
      const [key, tag] = [this.#path(), this.#options.tag()]
      await this.#on.pathCache.setMany([{ key, bundle: bundleOf(key, tag), ttlSeconds: 86_400 }])
      this.#note.wrote('pathCache.setMany', pathRow(cacheKey(key)), tag)
    },
    removePath: async () => {
      const source = this.#owned(this.#sources)
      const key = { ...this.#path(), source }
      const deleted = Number(await this.#on.pathCache.delete(key))
      this.#note.deleted('pathCache.delete', [pathRow(cacheKey(key))], deleted)
    },
    invalidate: async () => {
      const source = this.#owned(this.#sources)
      const deleted = await this.#on.pathCache.invalidate({ source })
      this.#note.deleted('pathCache.invalidate', this.#pathsFrom(source).map(pathRow), deleted)
    },
  }

  get #on(): Repositories {
    return this.#options.on
  }

  #random(): number {
    return this.#options.random()
  }

  get #round(): string {
    return this.#options.round
  }

  get #protocol(): string {
    return `r${this.#round}`
  }

  get #nodes(): string[] {
    return Array.from({ length: NODES }, (_, index) => `n${this.#round}-${index}`)
  }

  get #policies(): string[] {
    return Array.from({ length: POLICIES }, (_, index) => `p${this.#round}-${index}`)
  }

  get #sources(): string[] {
    return Array.from({ length: ENDS }, (_, index) => `c${this.#round}-${index}`)
  }

  #pathsFrom = (source: string): string[] =>
    Array.from({ length: ENDS }, (_, index) => cacheKey({ source, destination: `d${index}`, k: 3 }))

  #oneOf = (all: readonly string[]): string => all[integerFrom(this.#options.random, 0, all.length - 1)] ?? ''
  #node = (): string => this.#oneOf(this.#nodes)
  #policy = (): string => this.#oneOf(this.#policies)
  #path = () => ({
    source: this.#oneOf(this.#sources),
    destination: `d${integerFrom(this.#options.random, 0, ENDS - 1)}`,
    k: 3,
  })

  /** A deletion that is a call by itself must be known for this client's. */
  #owned(all: readonly string[]): string {
    const { client, single } = this.#options
    return single ? (all[client % Math.min(all.length, CLIENTS)] ?? '') : this.#oneOf(all)
  }

  #newNode = (nodeId: string, protocol = this.#protocol): NewMeshNode & { started: boolean } => ({
    nodeId,
    interfaces: ['eth0'],
    protocols: [protocol, this.#options.tag()],
    started: this.#random() < 0.5,
  })

  #text = (): string => `tag: ${this.#options.tag()}`

  #listed(call: string, found: readonly MeshNode[], filtered: boolean): void {
    const versions = new Map(found.map((each) => [each.nodeId, versionOf(each)]))
    for (const id of this.#nodes) {
      const version = versions.get(id)
      const absent: Seen = filtered ? { is: 'unmatched' } : ABSENT
      this.#note.looked(call, nodeRow(id), version === undefined ? absent : exactly(version))
    }
  }
}

const bundleOf = ({ source, destination }: { source: string; destination: string }, tag: string) => ({
  ...bundle(source, destination),
  primary: [{ nodes: [source, destination], path_id: tag }],
})
