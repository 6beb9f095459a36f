/** The server's API, the same that any other client uses. */

export const meshMap = () => ask('/mesh/map')

/** Every node, page by page. */
export async function allNodes() {
  const nodes = []
  for (let next = '/mesh/nodes?limit=1000'; next !== null; ) {
    const page = await ask(next)
    nodes.push(...page.items)
    next = page.next
  }
  return nodes
}

export const nodeOf = (id) => ask(`/mesh/nodes/${encodeURIComponent(id)}`)

export const setStarted = (id, started) =>
  ask(`/mesh/nodes/${encodeURIComponent(id)}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ started }),
  })

/** With how long it took, seen from here. */
export async function pathsBetween(source, destination, k) {
  const begun = performance.now()
  const paths = await ask(`/mesh/paths?${new URLSearchParams({ source, destination, k })}`)
  return { ...paths, roundTrip: performance.now() - begun }
}

async function ask(url, options) {
  const response = await fetch(url, options)
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.detail)
  return answer
}
