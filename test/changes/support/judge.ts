/** Whether what was seen is what was committed: nothing missing, nothing more, and each row's changes in their order. */
export interface Verdict {
  readonly seen: number
  readonly committed: number
  /** Committed, and not seen. */
  readonly missing: number
  /** Seen though it was rolled back, or seen twice. */
  readonly extra: number
  /** Rows of which the changes came in an order in which they cannot have come about. */
  readonly disordered: number
}

/** `undone` begins the keys of what was rolled back; the order of `shared` rows is known by no writer. */
export function judged(
  seen: readonly string[],
  committed: readonly string[],
  { shared }: { readonly shared: string },
): Verdict {
  const [found, expected] = [byRow(seen), byRow(committed)]
  let [missing, extra, disordered] = [0, 0, 0]
  for (const key of new Set([...found.keys(), ...expected.keys()])) {
    const [has, wants] = [found.get(key) ?? [], expected.get(key) ?? []]
    missing += surplus(wants, has)
    extra += surplus(has, wants)
    const isOrdered = key.startsWith(shared) ? isLife(has) : has.join() === wants.join()
    if (!isOrdered) disordered++
  }
  return { seen: seen.length, committed: committed.length, missing, extra, disordered }
}

/** Operations by key. */
function byRow(changes: readonly string[]): Map<string, string[]> {
  const rows = new Map<string, string[]>()
  for (const change of changes) {
    const [operation = '', , key = ''] = change.split(' ')
    const row = rows.get(key)
    if (row === undefined) rows.set(key, [operation])
    else row.push(operation)
  }
  return rows
}

/** How many of these are not among those. */
function surplus(these: readonly string[], those: readonly string[]): number {
  const left = [...those]
  return these.filter((each) => {
    const at = left.indexOf(each)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  }).length
}

/** A key is absent before its insert, and present before its update or delete. */
function isLife(operations: readonly string[]): boolean {
  let isThere = false
  for (const operation of operations) {
    if ((operation === 'insert') === isThere) return false
    if (operation !== 'update') isThere = operation === 'insert'
  }
  return true
}
