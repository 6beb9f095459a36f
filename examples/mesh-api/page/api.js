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

export const linksOf = async (id) => (await ask(`/mesh/nodes/${encodeURIComponent(id)}/links`)).items

export const setWeight = (linkId, cost) =>
  ask(`/mesh/links/${encodeURIComponent(linkId)}`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ cost }),
  })

/** With how long it took, seen from here. */
export async function pathsBetween(source, destination, k) {
  const begun = performance.now()
  const paths = await ask(`/mesh/paths?${new URLSearchParams({ source, destination, k })}`)
  return { ...paths, roundTrip: performance.now() - begun }
}

/** Fetches the storage's samples, one a second, that are newer than `after`. */
export const activity = (after) => ask(`/activity?after=${after}`)

/** How long to wait before connecting again. */
const AGAIN_MS = 2_000

/**
 * Tells of every change from when `begun` is called. After a lost connection it goes on behind the last event; `missed`
 * is called if that cannot be done. `listening` says whether there is a connection. `fetch` carries the token, which
 * EventSource cannot.
 */
export async function listen({ changed, begun, missed, listening }) {
  let last
  let isFirst = true
  const take = {
    ready: () => {
      listening(true)
      if (isFirst) begun()
      isFirst = false
    },
    change: (data) => changed(JSON.parse(data)),
    missed,
  }
  for (;;) {
    try {
      for await (const { event, data, id } of events(last)) {
        last = id
        take[event]?.(data)
      }
    } catch {
      // Connect again below.
    }
    listening(false)
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
  }
}

/** Server-sent events, each with `event`, `id` and `data`. */
async function* events(last) {
  const response = await authorized('/changes', last === undefined ? {} : { headers: { 'last-event-id': last } })
  if (!response.ok) return
  let text = ''
  for await (const chunk of chunksOf(response.body.pipeThrough(new TextDecoderStream()))) {
    const parts = (text + chunk).split('\n\n')
    text = parts.pop()
    for (const part of parts) {
      const fields = Object.fromEntries(part.split('\n').map((line) => line.split(/: (.*)/, 2)))
      if (fields.event !== undefined) yield fields
    }
  }
}

/** Not every browser iterates over a stream by itself. */
async function* chunksOf(stream) {
  const reader = stream.getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
}

async function ask(url, options) {
  const response = await authorized(url, options)
  const answer = await response.json()
  if (!response.ok) throw new Error(answer.detail)
  return answer
}

const TOKEN = 'mesh-api-token'

/** Sends the token of this tab; asks for one where the server wants it. */
async function authorized(url, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN)
    const headers = { ...options.headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }) }
    const response = await fetch(url, { ...options, headers })
    if (response.status !== 401) return response
    const given = window.prompt('This server asks for its token:')
    if (!given) return response
    sessionStorage.setItem(TOKEN, given)
  }
}
