/** Which must come before which, and why. */

export class Graph<Why extends string> {
  readonly #edges = new Map<number, Map<number, Set<Why>>>()

  add(from: number | undefined, to: number | undefined, why: Why): void {
    if (from === undefined || to === undefined || from === to) return
    const targets = this.#edges.get(from) ?? new Map<number, Set<Why>>()
    this.#edges.set(from, targets)
    const reasons = targets.get(to) ?? new Set<Why>()
    targets.set(to, reasons.add(why))
  }

  /** The nodes that come next for one of these reasons. */
  *after(from: number, reasons: ReadonlySet<Why>): Generator<number> {
    for (const [to, why] of this.#edges.get(from) ?? []) if ([...why].some((each) => reasons.has(each))) yield to
  }

  *edges(reasons: ReadonlySet<Why>): Generator<readonly [from: number, to: number]> {
    for (const from of this.#edges.keys()) for (const to of this.after(from, reasons)) yield [from, to]
  }

  /** A way from the one to the other, both included, if there is one. The shortest. */
  path(from: number, to: number, reasons: ReadonlySet<Why>): number[] | undefined {
    const came = new Map<number, number>([[from, from]])
    const queue = [from]
    for (const at of queue) {
      for (const next of this.after(at, reasons)) {
        if (next === to) return [...backFrom(came, at, from), to]
        if (came.has(next)) continue
        came.set(next, at)
        queue.push(next)
      }
    }
    return undefined
  }

  /** Groups of which each member comes before each other one: where there is a cycle, it is in one of them (Tarjan). */
  cyclic(reasons: ReadonlySet<Why>): number[][] {
    const index = new Map<number, number>()
    const low = new Map<number, number>()
    const stack: number[] = []
    const onStack = new Set<number>()
    const groups: number[][] = []
    // No recursion: a history has more transactions than a stack has frames.
    const walk: { at: number; next: Iterator<number> }[] = []
    const visit = (at: number): void => {
      index.set(at, index.size)
      low.set(at, index.size - 1)
      stack.push(at)
      onStack.add(at)
      walk.push({ at, next: this.after(at, reasons) })
    }
    const lower = (at: number, to: number | undefined): void => void low.set(at, Math.min(low.get(at) ?? 0, to ?? 0))
    for (const root of this.#edges.keys()) {
      if (index.has(root)) continue
      visit(root)
      for (let top = walk.at(-1); top !== undefined; top = walk.at(-1)) {
        const { value: to, done } = top.next.next()
        if (!done) {
          if (!index.has(to)) visit(to)
          else if (onStack.has(to)) lower(top.at, index.get(to))
          continue
        }
        walk.pop()
        const parent = walk.at(-1)
        if (parent !== undefined) lower(parent.at, low.get(top.at))
        if (low.get(top.at) !== index.get(top.at)) continue
        const group = stack.splice(stack.lastIndexOf(top.at))
        for (const each of group) onStack.delete(each)
        if (group.length > 1) groups.push(group)
      }
    }
    return groups
  }
}

function backFrom(came: ReadonlyMap<number, number>, end: number, from: number): number[] {
  const path = [end]
  for (let at = end; at !== from; ) {
    at = came.get(at) ?? from
    path.unshift(at)
  }
  return path
}
