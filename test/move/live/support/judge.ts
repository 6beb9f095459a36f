/** Compares what callers were told with what is there. */
import { type Journal, SHARED } from './journal.ts'

/** A database of either kind. */
export interface Asked {
  query<R extends object>(sql: string): Promise<R[]>
}

export interface Verdict {
  /** Acknowledged, and not there as it was acknowledged. */
  readonly lost: string[]
  /** There, and asked for by nobody; or counted twice. */
  readonly duplicated: string[]
}

/** `others`: ids of nodes that were there before, or come of the callers' programs. */
export async function judge(
  database: Asked,
  journals: readonly Journal[],
  isOther: (id: string) => boolean,
): Promise<Verdict> {
  const verdict: Verdict = { lost: [], duplicated: [] }
  const nodes = await database.query<{ id: string; n: number }>(
    'SELECT node_id AS id, routes_discovered AS n FROM nodes',
  )
  const found = new Map(nodes.map(({ id, n }) => [id, n]))
  const told: Record<string, number | null> = Object.assign({}, ...journals.map((journal) => journal.nodes))
  for (const [id, n] of Object.entries(told)) {
    const there = found.get(id) ?? null
    if (there === n) continue
    const entry = `${id}: ${there}, not ${n}`
    if (n === null) verdict.duplicated.push(entry)
    else verdict.lost.push(entry)
  }
  for (const id of found.keys()) if (!(id in told) && !isOther(id)) verdict.duplicated.push(`${id}: nobody's`)
  for (const id of SHARED) {
    const sum = journals.reduce((total, { counted }) => total + (counted[id] ?? 0), 0)
    const there = found.get(id) ?? 0
    if (there < sum) verdict.lost.push(`${id}: ${there}, not ${sum}`)
    if (there > sum) verdict.duplicated.push(`${id}: ${there}, not ${sum}`)
  }
  const texts = await database.query<{ id: string; text: string }>(
    'SELECT policy_id AS id, yaml_content AS text FROM policies',
  )
  const policies = new Map(texts.map(({ id, text }) => [id, text]))
  for (const { policies: each } of journals)
    for (const [id, text] of Object.entries(each)) if (policies.get(id) !== text) verdict.lost.push(`policy ${id}`)
  return verdict
}
