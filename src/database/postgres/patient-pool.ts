import pg from 'pg'
import { performance, sleep } from '../../event-loop.ts'
import { failoverTracing, traceState } from '../../tracing.ts'
import { jittered } from '../backoff.ts'
import { asLost, isFinal, isServerLost, translated } from './errors.ts'
import type { Hosts } from './hosts.ts'

const LONGEST_PAUSE_MS = 250

/** A pool that waits while there is no primary. */
export class PatientPool extends pg.Pool {
  readonly hosts: Hosts
  /** How long `connect()` waits for a primary, in milliseconds: before the first connection, and after it. */
  readonly #limits: { readonly openingMs: number; readonly failoverMs: number }
  #hasConnected = false
  #lastError: unknown
  /** Ends the event of the failover that is under way. */
  #found: ((error?: unknown) => void) | undefined

  readonly #isLost: (error: unknown) => unknown

  /** `isProxied`: a proxy reports a lost server with the SQLSTATE of a refused setting. */
  constructor(
    config: pg.PoolConfig,
    hosts: Hosts,
    { isProxied, ...limits }: { openingMs: number; failoverMs: number; isProxied: boolean },
  ) {
    super({
      ...config,
      Client: hosts.client(),
      onConnect: (client) => hosts.assertPrimary(client as pg.Client),
    })
    this.hosts = hosts
    this.#isLost = isProxied ? asLost : (error) => error
    this.#limits = limits
  }

  override connect(): Promise<pg.PoolClient>
  override connect(
    callback: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: unknown) => void) => void,
  ): void
  override connect(
    callback?: (error: Error | undefined, client: pg.PoolClient | undefined, done: (release?: unknown) => void) => void,
  ): Promise<pg.PoolClient> | undefined {
    const connecting = this.within()
    if (callback === undefined) return connecting
    connecting.then(
      (client) => callback(undefined, client, (release) => client.release(release as boolean)),
      (error) => callback(error, undefined, () => {}),
    )
    return undefined
  }

  /** How long a call goes on after it has lost the server, in milliseconds. */
  get failoverMs(): number {
    return this.#limits.failoverMs
  }

  /** Waits for a primary, within a limit in milliseconds, and the limit of one connection. */
  async within(milliseconds = Number.POSITIVE_INFINITY): Promise<pg.PoolClient> {
    const { openingMs, failoverMs } = this.#limits
    const deadline = performance.now() + Math.min(milliseconds, this.#hasConnected ? failoverMs : openingMs)
    for (let pause = 10; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      try {
        await this.hosts.found()
        const client = await super.connect()
        this.#hasConnected = true
        this.#isFound()
        return client
      } catch (failure) {
        const error = this.#isLost(failure)
        this.hosts.lost()
        if (isServerLost(error)) this.lost(error)
        if (this.ending || isFinal(error) || performance.now() + pause > deadline) throw error
      }
      await sleep(jittered(pause))
    }
  }

  /** There is no primary. */
  lost(error?: unknown): void {
    this.#lastError = error ?? this.#lastError
    if (this.#hasConnected && !this.ending) this.#found ??= traceState(failoverTracing, {})
  }

  #isFound(error?: unknown): void {
    this.#found?.(error)
    this.#found = undefined
    this.#lastError = undefined
  }

  override async end(): Promise<void> {
    this.hosts.close()
    if (this.#found !== undefined) this.#isFound(translated(this.#lastError))
    await super.end()
  }
}
