/** The calls of an own table's repository, and statements over it and `nodes`, for `callAtRandom`. */
import type { MeshNode, StorageErrorCode } from '../../../src/index.ts'
import { and, eq } from '../../../src/query-entry.ts'
import type { AppStage, AppStore } from '../../tables/app/stages.ts'
import { integerFrom } from '../random.ts'
import { CLIENTS } from './clients.ts'
import * as own from './own-statements.ts'
import { ABSENT, codeOf, Recorder, unless } from './recorder.ts'
import type { RowStep, Seen } from './rows.ts'

export const LINKS = 4
const SOURCES = 2

type Link = NonNullable<Awaited<ReturnType<AppStore['tables']['links']['get']>>>
export type OnApp = Pick<AppStage, 'nodes' | 'tables' | 'query' | 'run'>

export interface OwnOptions {
  readonly on: OnApp
  readonly steps: RowStep[]
  readonly random: () => number
  /** The round's number, of five digits. */
  readonly round: string
  readonly client: number
  /** A call by itself. */
  readonly single: boolean
  readonly tag: () => string
  /** The version of a node, as the audit has it. */
  readonly versionOf: (node: MeshNode) => string
}

const versionOf = ({ tags, cost, isUp }: Pick<Link, 'tags' | 'cost' | 'isUp'>): string =>
  `${tags[0]}/${cost}/${isUp ? 1 : 0}`
const row = (linkId: string): string => `links:${linkId}`
const nodeRow = (nodeId: string): string => `nodes:${nodeId}`

export class OwnCaller {
  readonly #options: OwnOptions
  readonly #note: Recorder
  /** The row that was read, which an update then expects. */
  #read: Link | undefined

  constructor(options: OwnOptions) {
    this.#options = options
    this.#note = new Recorder(options.steps)
  }

  async call(at: number, which: 'all' | 'read' | 'narrow'): Promise<void> {
    const { create, createMany, remove } = this.#writes
    const [reads, writes] = [this.#reads, Object.values(this.#writes)]
    const calls = which === 'narrow' ? [create, createMany, remove] : which === 'read' ? reads : [...reads, ...writes]
    await calls[Math.floor(at * calls.length)]?.()
  }

  readonly #reads = [
    async () => {
      const id = this.#link()
      this.#read = await this.#links.get(id)
      this.#note.saw('links.get', row(id), this.#read && versionOf(this.#read))
    },
    async () => {
      const ids = [...new Set([this.#link(), this.#link()])]
      const found = new Map((await this.#links.getMany(ids)).map((each) => [each.linkId, versionOf(each)]))
      for (const id of ids) this.#note.saw('links.getMany', row(id), found.get(id))
    },
    async () => {
      const source = this.#source()
      this.#listed('links.list', source, await this.#links.list({ where: { source } }), ABSENT)
    },
    async () => {
      const source = this.#source()
      const found = await this.#links.list({ where: { source, isUp: true }, orderBy: 'cost' })
      this.#listed('links.list up', source, found, { is: 'unmatched' })
    },
    async () => {
      const source = this.#source()
      const found: Link[] = []
      for await (const each of this.#links.iterate({ where: { source } })) found.push(each)
      this.#listed('links.iterate', source, found, ABSENT)
    },
    async () => {
      const [source, up] = [this.#source(), this.#chance(0.5)]
      const counted = await this.#links.count({ source, isUp: up ? true : undefined })
      this.#note.counted('links.count', this.#from(source), counted, up)
    },
    async () => {
      const source = this.#source()
      const found = await this.#options.on.query(own.withTargets, { source })
      this.#listed(
        'query withTargets',
        source,
        found.map(({ link }) => link),
        ABSENT,
      )
      for (const { link, node } of found)
        this.#note.saw('query withTargets', nodeRow(link.target), node === null ? undefined : this.#nodeVersion(node))
    },
    async () => {
      const source = this.#source()
      const [{ links = 0 } = {}] = await this.#options.on.query(own.upFrom, { source })
      this.#note.counted('query upFrom', this.#from(source), links, true)
    },
    async () => {
      const source = this.#source()
      const found = await this.#options.on.query((db, { links }) =>
        db
          .select()
          .from(links)
          .where(and(eq(links.source, source), eq(links.isUp, true))),
      )
      this.#listed('query once', source, found, { is: 'unmatched' })
    },
  ]

  readonly #writes = {
    create: async () => {
      const id = this.#link()
      const created = await unless('ALREADY_EXISTS', () => this.#links.create(this.#newLink(id)))
      if (created === undefined) this.#note.present('links.create', row(id))
      else this.#note.wrote('links.create', row(id), versionOf(created))
    },
    createMany: async () => {
      const id = this.#link()
      // The other one cannot be there.
      const other = { ...this.#newLink(`x${this.#options.tag()}`), source: 'other' }
      const created = await unless('ALREADY_EXISTS', () => this.#links.createMany([other, this.#newLink(id)]))
      if (created === undefined) this.#note.present('links.createMany', row(id))
      for (const each of created ?? []) this.#note.wrote('links.createMany', row(each.linkId), versionOf(each))
    },
    update: async () => {
      const id = this.#link()
      const updated = await unless('NOT_FOUND', () => this.#links.update(id, this.#patch()))
      if (updated === undefined) this.#note.saw('links.update', row(id), undefined)
      else this.#note.wrote('links.update', row(id), versionOf(updated))
    },
    updateExpected: async () => {
      if (this.#options.single) return
      if (this.#read === undefined) await this.#reads[0]?.()
      const read = this.#read
      if (read === undefined) return
      this.#read = undefined
      const { linkId, updatedAt } = read
      // Sometimes the transaction itself changes it in between.
      if (this.#chance(0.3)) await this.#save(linkId)
      let came: StorageErrorCode | undefined
      const options = { ifUpdatedAt: updatedAt }
      const updated = await this.#links.update(linkId, this.#patch(), options).catch((error: unknown) => {
        came = codeOf(error, ['NOT_FOUND', 'CONFLICT'])
        return undefined
      })
      const call = 'links.update ifUpdatedAt'
      if (updated !== undefined) this.#note.wrote(call, row(linkId), versionOf(updated))
      else if (came === 'NOT_FOUND') this.#note.saw(call, row(linkId), undefined)
      else this.#note.looked(`${call} CONFLICT`, row(linkId), { is: 'present', not: `${read.tags[0]}/` })
    },
    save: async () => this.#save(this.#link()),
    saveWithOutcome: async () => {
      const id = this.#link()
      const saved = await this.#links.save(this.#newLink(id), { outcome: true })
      if (saved.created) this.#note.saw('links.save created', row(id), undefined)
      else this.#note.present('links.save replaced', row(id))
      this.#note.wrote('links.save', row(id), versionOf(saved.row))
    },
    saveMany: async () => {
      const ids = [...new Set([this.#link(), this.#link()])]
      const saved = await this.#links.saveMany(ids.map((id) => this.#newLink(id)))
      for (const each of saved) this.#note.wrote('links.saveMany', row(each.linkId), versionOf(each))
    },
    remove: async () => {
      const { client, single } = this.#options
      const id = single ? (this.#ids[(client % CLIENTS) % LINKS] ?? '') : this.#link()
      this.#note.deleted('links.delete', [row(id)], Number(await this.#links.delete(id)))
    },
    updateMany: async () => {
      const [source, up, patch] = [this.#source(), this.#chance(0.5), this.#patch()]
      const changed = await this.#links.updateMany(up ? { source, isUp: true } : { source }, patch)
      this.#note.changed('links.updateMany', this.#from(source), changed, versionOf(patch), up)
    },
    deleteMany: async () => {
      const [source, up] = [this.#ownSource(), this.#chance(0.5)]
      const deleted = await this.#links.deleteMany(up ? { source, isUp: true } : { source })
      this.#note.deleted('links.deleteMany', this.#from(source), deleted, up)
    },
    put: async () => {
      const to = { ...this.#newLink(this.#link()), now: new Date() }
      const { rows } = await this.#options.on.run(own.putLink, to)
      for (const each of rows) this.#note.wrote('run putLink', row(each.linkId), versionOf(each))
    },
    changeUp: async () => {
      const source = this.#source()
      const { rows } = await this.#options.on.run(own.changeUp, { source, ...this.#patch(), now: new Date() })
      const found = new Map(rows.map((each) => [row(each.linkId), versionOf(each)]))
      for (const each of this.#from(source)) {
        this.#note.looked('run changeUp', each, { is: found.has(each) ? 'matched' : 'unmatched' })
        const version = found.get(each)
        if (version !== undefined) this.#note.wrote('run changeUp', each, version)
      }
    },
    removeUp: async () => {
      const source = this.#ownSource()
      const { changes } = await this.#options.on.run(own.removeUp, { source })
      this.#note.deleted('run removeUp', this.#from(source), changes, true)
    },
    changeTargets: async () => {
      const [source, protocols] = [this.#source(), [`r${this.#options.round}`, this.#options.tag()]]
      const to = { source, protocols, started: this.#chance(0.5), now: new Date() }
      const { rows } = await this.#options.on.run(own.changeTargets, to)
      for (const each of rows) {
        this.#note.looked('run changeTargets', row(each.nodeId.replace(/^n/, 'l')), { is: 'matched' })
        this.#note.wrote('run changeTargets', nodeRow(each.nodeId), this.#nodeVersion(each))
      }
    },
  }

  async #save(id: string): Promise<void> {
    this.#note.wrote('links.save', row(id), versionOf(await this.#links.save(this.#newLink(id))))
  }

  #listed(call: string, source: string, found: readonly Link[], absent: Seen): void {
    const versions = new Map(found.map((each) => [row(each.linkId), versionOf(each)]))
    for (const each of this.#from(source)) {
      const version = versions.get(each)
      this.#note.looked(call, each, version === undefined ? absent : { is: 'version', version })
    }
  }

  get #links(): OnApp['tables']['links'] {
    return this.#options.on.tables.links
  }

  /** Drizzle's row of our own table is the node. */
  #nodeVersion = (node: MeshNode): string => this.#options.versionOf(node)

  #chance(of: number): boolean {
    return this.#options.random() < of
  }

  get #ids(): string[] {
    return Array.from({ length: LINKS }, (_, index) => `l${this.#options.round}-${index}`)
  }

  #link(): string {
    return this.#ids[integerFrom(this.#options.random, 0, LINKS - 1)] ?? ''
  }

  #sourceAt = (index: number): string => `s${this.#options.round}-${index % SOURCES}`
  #source = (): string => this.#sourceAt(integerFrom(this.#options.random, 0, SOURCES - 1))

  /** A deletion that is a call by itself must be known for this client's. */
  #ownSource(): string {
    return this.#options.single ? this.#sourceAt(this.#options.client) : this.#source()
  }

  /** The rows of a source. */
  #from(source: string): string[] {
    return this.#ids.filter((_, index) => this.#sourceAt(index) === source).map(row)
  }

  #patch = () => ({
    tags: [this.#options.tag()],
    cost: integerFrom(this.#options.random, 0, 9),
    isUp: this.#chance(0.5),
  })

  #newLink = (linkId: string) => ({
    linkId,
    source: this.#sourceAt(Number(linkId.at(-1))),
    target: linkId.replace(/^l/, 'n'),
    ...this.#patch(),
  })
}
