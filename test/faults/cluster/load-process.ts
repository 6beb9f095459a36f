/** The load, as its parent sees it: see load.ts. */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import { eventually } from '../../postgres/support/eventually.ts'
import type { FromLoad, LoadOrders, LoadReport, ToLoad } from './load-messages.ts'

export class LoadProcess implements Disposable {
  readonly #child: ChildProcess
  readonly #longestMs: number
  #written = -1
  #report: LoadReport | undefined
  #output = ''

  private constructor(orders: LoadOrders) {
    this.#longestMs = orders.longestMs
    this.#child = fork(join(import.meta.dirname, 'load.ts'), [JSON.stringify(orders)], { execArgv: [], silent: true })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk) => {
        this.#output = (this.#output + chunk).slice(-4_000)
      })
    this.#child.on('message', (message: FromLoad) => {
      if ('report' in message) this.#report = message.report
      else this.#written = message.written
    })
  }

  /** Resolves when it writes. */
  static async start(orders: LoadOrders): Promise<LoadProcess> {
    const load = new LoadProcess(orders)
    try {
      await load.#until('the load begins', () => load.#written >= 0)
      return load
    } catch (error) {
      load[Symbol.dispose]()
      throw error
    }
  }

  say(message: ToLoad): void {
    this.#child.send(message)
  }

  /** Resolves when so many more writes were acknowledged. */
  async progress(writes: number): Promise<void> {
    const enough = this.#written + writes
    await this.#until(`${writes} more writes are acknowledged`, () => this.#written >= enough)
  }

  async stop(): Promise<LoadReport> {
    this.say('stop')
    await this.#until('the load reports', () => this.#report !== undefined, 4 * this.#longestMs)
    return this.#report as LoadReport
  }

  async #until(what: string, condition: () => boolean, withinMs = this.#longestMs): Promise<void> {
    await eventually(
      what,
      () => {
        if (condition()) return true
        if (this.#child.exitCode !== null) throw new Error(`The load has ended: ${this.#output}`)
        return false
      },
      withinMs,
    )
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL')
  }
}
