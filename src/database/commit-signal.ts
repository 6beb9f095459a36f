/** Tells listeners that a call of this store has committed. */
export class CommitSignal {
  readonly #listeners = new Set<() => void>()

  /** Returns a function that ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  tell(): void {
    for (const listener of this.#listeners) listener()
  }
}
