/**
 * An application that writes its own tables and `nodes` past the library, with foreign keys on, until the fence refuses it. Says
 * what it has been acknowledged: a model of all rows.
 */
import Sqlite from 'better-sqlite3'
import { randomFrom } from '../../../faults/random.ts'

export interface Order {
  readonly path: string
  readonly seed: number
  readonly perSecond: number
}

export interface Acknowledged {
  readonly writes: number
  readonly longestMs: number
  /** By key: the node of each link and its cost, the name of each site. */
  readonly links: Readonly<Record<string, readonly [source: string, site: string | null, cost: number]>>
  readonly sites: Readonly<Record<string, string>>
  readonly nodes: readonly string[]
  /** Why it ended. */
  readonly error: string
}

type Link = [source: string, site: string | null, cost: number]

class Application {
  readonly #raw: Sqlite.Database
  readonly #random: () => number
  readonly #statements
  #links = new Map<string, Link>()
  #sites = new Map<string, string>()
  #nodes = new Set<string>()
  #next = 0

  constructor(path: string, seed: number) {
    this.#raw = new Sqlite(path, { timeout: 60_000 })
    this.#raw.pragma('foreign_keys = ON')
    this.#random = randomFrom(seed)
    const prepare = (sql: string): Sqlite.Statement<unknown[]> => this.#raw.prepare<unknown[]>(sql)
    this.#statements = {
      node: prepare("INSERT INTO nodes VALUES (?, '[]', '[]', 0, 0, 1, 1)"),
      dropNode: prepare('DELETE FROM nodes WHERE node_id = ?'),
      site: prepare('INSERT INTO sites VALUES (?, ?)'),
      rename: prepare('UPDATE sites SET name = ? WHERE site_id = ?'),
      dropSite: prepare('DELETE FROM sites WHERE site_id = ?'),
      link: prepare("INSERT INTO links VALUES (?, ?, ?, ?, 1, 1, '[]', NULL, 2.5, NULL)"),
      change: prepare('UPDATE links SET source = ?, site_id = ?, cost = ? WHERE link_id = ?'),
      dropLink: prepare('DELETE FROM links WHERE link_id = ?'),
    }
  }

  #pick<T>(from: Iterable<T>): T | undefined {
    const all = [...from]
    return all[Math.floor(this.#random() * all.length)]
  }

  /** One transaction. The model follows only if it was committed. */
  write(): void {
    const [links, sites, nodes] = [new Map(this.#links), new Map(this.#sites), new Set(this.#nodes)]
    this.#raw.exec('BEGIN IMMEDIATE')
    try {
      this.#change(links, sites, nodes)
      this.#raw.exec('COMMIT')
    } catch (error) {
      if (this.#raw.inTransaction) this.#raw.exec('ROLLBACK')
      throw error
    }
    ;[this.#links, this.#sites, this.#nodes] = [links, sites, nodes]
  }

  #change(links: Map<string, Link>, sites: Map<string, string>, nodes: Set<string>): void {
    const { node, dropNode, site, rename, dropSite, link, change, dropLink } = this.#statements
    const kind = this.#random()
    // A key that was deleted comes again: the log has several changes of it.
    const id = `k-${(this.#next++ % 400).toString().padStart(3, '0')}`
    const [aNode, aSite, aLink] = [this.#pick(nodes), this.#pick(sites.keys()), this.#pick(links.keys())]
    if (kind < 0.35 && !links.has(id)) {
      const [newNode, newSite] = [nodes.has(id) ? undefined : id, sites.has(id) ? undefined : id]
      if (newNode !== undefined) node.run(newNode)
      const name = `name ${id} ${this.#next}`
      if (newSite !== undefined) site.run(newSite, name)
      nodes.add(id)
      if (newSite !== undefined) sites.set(newSite, name)
      const row: Link = [id, this.#random() < 0.2 ? null : id, this.#random()]
      link.run(row[2], id, row[0], row[1])
      links.set(id, row)
    } else if (kind < 0.8 && aNode !== undefined && aLink !== undefined) {
      const row: Link = [aNode, aSite ?? null, this.#random()]
      change.run(...row, aLink)
      links.set(aLink, row)
    } else if (kind < 0.88 && aNode !== undefined) {
      for (const [key, [source]] of links)
        if (source === aNode) {
          dropLink.run(key)
          links.delete(key)
        }
      dropNode.run(aNode)
      nodes.delete(aNode)
    } else if (kind < 0.95 && aSite !== undefined) {
      for (const [key, [source, at, cost]] of links)
        if (at === aSite) {
          change.run(source, null, cost, key)
          links.set(key, [source, null, cost])
        }
      dropSite.run(aSite)
      sites.delete(aSite)
    } else if (aSite !== undefined) {
      // The names are unique: one takes what was another's.
      const other = this.#pick(sites.keys()) ?? aSite
      const [a, b] = [sites.get(aSite) ?? '', sites.get(other) ?? '']
      rename.run(`free ${aSite}`, aSite)
      if (other !== aSite) rename.run(a, other)
      const last = other === aSite ? `name ${aSite} ${this.#next}` : b
      rename.run(last, aSite)
      sites.set(other, a)
      sites.set(aSite, last)
    }
  }

  acknowledged(writes: number, longestMs: number, error: string): Acknowledged {
    return {
      writes,
      longestMs,
      links: Object.fromEntries(this.#links),
      sites: Object.fromEntries(this.#sites),
      nodes: [...this.#nodes],
      error,
    }
  }
}

process.once('message', ({ path, seed, perSecond }: Order) => {
  const application = new Application(path, seed)
  let [writes, longestMs] = [0, 0]
  const begun = performance.now()
  const timer = setInterval(() => {
    try {
      // At most for as long as the event loop should stand still.
      for (let n = 0; n < 20 && writes < ((performance.now() - begun) * perSecond) / 1_000; n++) {
        const since = performance.now()
        application.write()
        longestMs = Math.max(longestMs, performance.now() - since)
        writes++
        if (writes === 200) process.send?.('writing')
      }
    } catch (error) {
      clearInterval(timer)
      const message = error instanceof Error ? error.message : String(error)
      process.send?.(application.acknowledged(writes, longestMs, message), () => process.exit(0))
    }
  }, 2)
})
