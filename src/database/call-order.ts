/** Work of one transaction, in the order of its calls. */
export class CallOrder {
  #last: Promise<void> | undefined

  /** Resolves when the last work has ended, well or not. `undefined`: none runs or waits. */
  get last(): Promise<void> | undefined {
    return this.#last
  }

  /** Runs `work` after all that was called before, and after `earlier`. `onRefused`: `earlier` has rejected. */
  run<T>(earlier: Promise<void> | undefined, work: () => Promise<T>, onRefused: (error: unknown) => void): Promise<T> {
    const before = this.#last
    const run = async (): Promise<T> => {
      if (before !== undefined) await before
      try {
        await earlier
      } catch (error) {
        onRefused(error)
        throw error
      }
      return work()
    }
    const done = run()
    this.waitFor(done)
    return done
  }

  /** Later calls wait until `done` has settled. */
  waitFor(done: Promise<unknown>): void {
    const ended = (): void => {
      if (this.#last === settled) this.#last = undefined
    }
    const settled: Promise<void> = done.then(ended, ended)
    this.#last = settled
  }
}
