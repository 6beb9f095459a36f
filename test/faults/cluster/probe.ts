/** Writes past the library, to each server, all the time: how long did the cluster itself take no write? */
import type pg from 'pg'
import type { Cluster } from './cluster.ts'
import type { Gap } from './truth.ts'

const EVERY_MS = 50

export class Probe implements Disposable {
  readonly #written: number[] = []
  #stopped = false

  private constructor() {}

  static async start(cluster: Cluster): Promise<Probe> {
    await cluster.ask('CREATE TABLE IF NOT EXISTS probe (id integer PRIMARY KEY, at timestamptz)')
    await cluster.ask('INSERT INTO probe VALUES (1, now()) ON CONFLICT DO NOTHING')
    const probe = new Probe()
    for (const name of cluster.nodes) void probe.#run(() => cluster.client(name, 'postgres', 1_000))
    return probe
  }

  async #run(connect: () => pg.Client): Promise<void> {
    let client: pg.Client | undefined
    while (!this.#stopped) {
      try {
        if (client === undefined) {
          client = connect()
          const lost = client
          lost.on('end', () => {
            if (client === lost) client = undefined
          })
          await client.connect()
        }
        await client.query('UPDATE probe SET at = now() WHERE id = 1')
        this.#written.push(Date.now())
      } catch (error) {
        // A standby refuses, and will be asked again.
        if ((error as { code?: string }).code !== '25006') {
          client?.end().catch(() => {})
          client = undefined
        }
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
    }
    client?.end().catch(() => {})
  }

  /** The longest time without a write that ended between two moments. */
  longest(from: number, to: number): Gap {
    const ends = this.#written.toSorted((a, b) => a - b)
    let longest: Gap = { ms: 0, end: from }
    for (const [index, end] of ends.entries()) {
      const ms = end - (ends[index - 1] ?? end)
      if (ms > longest.ms && from <= end && end <= to) longest = { ms, end }
    }
    return longest
  }

  [Symbol.dispose](): void {
    this.#stopped = true
  }
}
