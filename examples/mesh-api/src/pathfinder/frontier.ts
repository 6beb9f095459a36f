/** Numbers in the order of their costs, the lowest first: a binary heap. */
export class Frontier {
  readonly #numbers: number[] = []
  readonly #costs: number[] = []
  /** The cost of the number that was taken last. */
  cost = 0

  add(number: number, cost: number): void {
    const [numbers, costs] = [this.#numbers, this.#costs]
    let at = numbers.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const costAbove = costs[above] ?? 0
      if (costAbove <= cost) break
      numbers[at] = numbers[above] ?? 0
      costs[at] = costAbove
      at = above
    }
    numbers[at] = number
    costs[at] = cost
  }

  take(): number | undefined {
    const [numbers, costs] = [this.#numbers, this.#costs]
    const [first] = numbers
    this.cost = costs[0] ?? 0
    const number = numbers.pop() ?? 0
    const cost = costs.pop() ?? 0
    const { length } = numbers
    if (length === 0) return first
    let at = 0
    for (let below = 1; below < length; below = 2 * at + 1) {
      const other = below + 1
      if (other < length && (costs[other] ?? 0) < (costs[below] ?? 0)) below = other
      const costBelow = costs[below] ?? 0
      if (costBelow >= cost) break
      numbers[at] = numbers[below] ?? 0
      costs[at] = costBelow
      at = below
    }
    numbers[at] = number
    costs[at] = cost
    return first
  }
}
