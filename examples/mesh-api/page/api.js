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

/** How long after the server refused it is asked again. */
const AGAIN_MS = 5_000

/**
 * Tells of every change from when `begun` is told. After a lost connection the browser goes on behind the last one by itself; `missed`
 * is told if that cannot be done. `listening` is told whether there is a connection.
 */
export function listen({ changed, begun, missed, listening }) {
  const events = new EventSource('/changes')
  events.addEventListener('ready', begun, { once: true })
  events.addEventListener('ready', () => listening(true))
  events.addEventListener('change', ({ data }) => changed(JSON.parse(data)))
  events.addEventListener('missed', missed)
  events.addEventListener('error', () => {
    listening(false)
    // Of a server that refuses, the browser asks no more.
    if (events.readyState === EventSource.CLOSED)
      setTimeout(() => listen({ changed, begun: missed, missed, listening }), AGAIN_MS)
  })
}

async function ask(url, options) {
  const response = await fetch(url, options)
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.detail)
  return answer
}
