/** A subscriber of changes that goes on from its token after an error, and begins anew after CHANGES_MISSED. */
import type { Meshstore } from '../../../src/index.ts'

const PAUSE_MS = 100
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS))

export interface Heard {
  /** Rows that are there, were added after the subscription began or went on, and of which it did not hear. */
  readonly missed: number
  /** Rows of which it heard, that are not there, and after which it was not told CHANGES_MISSED. */
  readonly ghosts: number
  /** How often it was told CHANGES_MISSED. */
  readonly told: number
  readonly errors: Readonly<Record<string, number>>
}

export class Listener {
  readonly #store: Meshstore
  /** By key: how often CHANGES_MISSED had come when the listener heard of it. */
  readonly #heard = new Map<string, number>()
  readonly #errors: Record<string, number> = {}
  #told = 0
  #since = 0
  #stopped = false

  private constructor(store: Meshstore) {
    this.#store = store
  }

  static async start(store: Meshstore): Promise<Listener> {
    const listener = new Listener(store)
    const changes = store.changes()
    const token = await changes.ready()
    listener.#since = Date.now()
    void listener.#run(changes, token)
    return listener
  }

  async #run(first: ReturnType<Meshstore['changes']>, ready: string): Promise<void> {
    let changes = first
    let after: string | undefined = ready
    while (!this.#stopped) {
      try {
        if (after === undefined) {
          after = await changes.ready()
          this.#since = Date.now()
        }
        for await (const change of changes) {
          if (change.operation === 'insert' && change.key !== undefined && change.table !== 'path_cache')
            this.#heard.set(change.key, this.#told)
          after = change.token
        }
      } catch (error) {
        if (this.#stopped) return
        const code = String((error as { code?: unknown }).code ?? error)
        this.#errors[code] = (this.#errors[code] ?? 0) + 1
        if (code === 'CHANGES_MISSED') {
          this.#told++
          after = undefined
        }
      }
      await pause()
      changes = this.#store.changes({ after })
    }
  }

  has(key: string): boolean {
    return this.#heard.has(key)
  }

  /** `begun` says when the call began that adds a row. */
  judge(there: ReadonlySet<string>, begun: (key: string) => number | undefined): Heard {
    this.#stopped = true
    const missed = [...there].filter((key) => !this.#heard.has(key) && (begun(key) ?? 0) > this.#since)
    const ghosts = [...this.#heard].filter(([key, told]) => !there.has(key) && told === this.#told)
    return { missed: missed.length, ghosts: ghosts.length, told: this.#told, errors: this.#errors }
  }
}
