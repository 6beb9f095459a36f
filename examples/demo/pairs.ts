/** Ordered pairs of different nodes: all of them, or so many that lie evenly among all. */
export function pairsOf(nodeIds: readonly string[], limit: number): { source: string; destination: string }[] {
  const others = nodeIds.length - 1
  const all = nodeIds.length * others
  const count = Math.min(limit, all)
  return Array.from({ length: count }, (_, n) => {
    const pair = Math.floor((n * all) / count)
    const from = Math.floor(pair / others)
    const to = pair % others
    const source = nodeIds[from] ?? ''
    const destination = nodeIds[to < from ? to : to + 1] ?? ''
    return { source, destination }
  })
}
