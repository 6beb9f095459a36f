/** Numbers in the order of their costs, the lowest first: a binary heap. */
export class Frontier {
  readonly #heap: Reached[] = []

  add(node: number, cost: number): void {
    const heap = this.#heap
    let at = heap.push({ node, cost }) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!this.#isBefore(at, above)) return
      this.#swap(at, above)
      at = above
    }
  }

  take(): Reached | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return first
    heap[0] = last
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let least = at
      if (left < heap.length && this.#isBefore(left, least)) least = left
      if (right < heap.length && this.#isBefore(right, least)) least = right
      if (least === at) return first
      this.#swap(at, least)
      at = least
    }
  }

  #isBefore(a: number, b: number): boolean {
    return (this.#heap[a]?.cost ?? 0) < (this.#heap[b]?.cost ?? 0)
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap
    const [one, other] = [heap[a], heap[b]]
    if (one === undefined || other === undefined) return
    heap[a] = other
    heap[b] = one
  }
}

interface Reached {
  readonly node: number
  readonly cost: number
}
