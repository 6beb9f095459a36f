/** The storage's changes for any number of clients, who share one subscription. */
import { type Change, type Changes, type Meshstore, StorageError } from 'meshstore'

/** One change, and where to go on behind it. */
export interface News {
  readonly token: string
  readonly change: Change
}

export interface Client {
  hear(news: News): void
  /** It has missed some; the next it hears comes behind the token. */
  missed(token: string): void
  /** Nothing will come any more. */
  end(): void
}

/** So many are kept for those whose connection was lost for a moment. */
const KEPT = 1_000
/** For so long the storage keeps them for this server: while it is started again, say. */
const KEEP_SECONDS = 60
/** After the last client has left, the subscription lasts for so long. */
const LINGER_MS = 30_000

export class ChangeFeed {
  readonly #store: Meshstore
  readonly #clients = new Set<Client>()
  #changes: Changes | undefined
  #started: Promise<void> | undefined
  #news: News[] = []
  /** Behind it are the news. */
  #token = ''
  #isClosed = false
  #leaving: NodeJS.Timeout | undefined

  constructor(store: Meshstore) {
    this.#store = store
  }

  get clients(): number {
    return this.#clients.size
  }

  /** Adds a client, and says where it begins: behind `after`, if what came then is still there. Rejects as the storage does. */
  async follow(client: Client, after?: string): Promise<{ token: string; leave: () => void }> {
    if (this.#isClosed) throw new StorageError('CLOSED', 'The server is being stopped.')
    clearTimeout(this.#leaving)
    await this.#start(after)
    const missed = this.#since(after)
    this.#clients.add(client)
    const token = after !== undefined && missed !== undefined ? after : this.#last
    if (after !== undefined && missed === undefined) client.missed(token)
    for (const news of missed ?? []) client.hear(news)
    return { token, leave: () => this.#leave(client) }
  }

  /** Ends every client. The storage keeps later changes for a while, if the store is closed next. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#leaving)
    this.#endAll()
  }

  #endAll(): void {
    for (const client of this.#clients) client.end()
    this.#clients.clear()
  }

  get #last(): string {
    return this.#news.at(-1)?.token ?? this.#token
  }

  #since(after: string | undefined): News[] | undefined {
    if (after === undefined || after === this.#last) return []
    if (after === this.#token) return this.#news
    const at = this.#news.findIndex(({ token }) => token === after)
    return at < 0 ? undefined : this.#news.slice(at + 1)
  }

  #leave(client: Client): void {
    if (!this.#clients.delete(client) || this.#clients.size > 0) return
    clearTimeout(this.#leaving)
    this.#leaving = setTimeout(() => {
      this.#changes?.return().catch(() => {})
      this.#forget()
    }, LINGER_MS)
    this.#leaving.unref()
  }

  #forget(): void {
    this.#changes = undefined
    this.#started = undefined
    this.#news = []
  }

  /** The first client says where it begins. */
  #start(after: string | undefined): Promise<void> {
    this.#started ??= this.#begin(after).catch((error) => {
      this.#forget()
      throw error
    })
    return this.#started
  }

  async #begin(after: string | undefined): Promise<void> {
    const changes = await this.#subscribed(after).catch((error) => {
      if (after === undefined || !isMissed(error)) throw error
      return this.#subscribed(undefined)
    })
    this.#token = await changes.ready()
    this.#changes = changes
    this.#read(changes)
  }

  async #subscribed(after: string | undefined): Promise<Changes> {
    const changes = this.#store.changes({ after, keepSeconds: KEEP_SECONDS })
    await changes.ready()
    return changes
  }

  async #read(changes: Changes): Promise<void> {
    try {
      for await (const change of changes) this.#tell({ token: change.token, change })
    } catch (error) {
      this.#forget()
      if (isMissed(error) && this.#clients.size > 0) {
        await this.#start(undefined)
        for (const client of this.#clients) client.missed(this.#token)
      } else this.#endAll()
    }
  }

  #tell(news: News): void {
    this.#news.push(news)
    if (this.#news.length > KEPT) this.#token = this.#news.shift()?.token ?? this.#token
    for (const client of this.#clients) client.hear(news)
  }
}

/** An id of another database, or of nobody, is none that can be gone on from. */
const isMissed = (error: unknown): boolean =>
  error instanceof StorageError && ['CHANGES_MISSED', 'VALIDATION'].includes(error.code)
