/** Requests to the mesh API, so many a second; in each of some lanes one after the other. */
import { emptyJournal, type Journal } from './journal.ts'

const LANES = 6

export class HttpLoad {
  readonly journal: Journal = emptyJournal()
  readonly #base: string
  readonly #prefix: string
  readonly #nodes: readonly string[]
  #ending = false
  #lanes: Promise<void>[] = []

  /** `nodes`: of the API's topology. */
  constructor(base: string, prefix: string, nodes: readonly string[]) {
    this.#base = base
    this.#prefix = prefix
    this.#nodes = nodes
  }

  start(perSecond: number): void {
    const pauseMs = (LANES * 1_000) / perSecond
    this.#lanes = Array.from({ length: LANES }, (_, lane) => this.#run(lane, pauseMs))
  }

  async stop(): Promise<Journal> {
    this.#ending = true
    await Promise.all(this.#lanes)
    return this.journal
  }

  async #run(lane: number, pauseMs: number): Promise<void> {
    let at = performance.now() + lane
    for (let n = 0; !this.#ending; n++) {
      for (const step of this.#steps(`${this.#prefix}-${lane}-${n}`, n)) {
        if (this.#ending) return
        at += pauseMs
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - performance.now())))
        await step()
      }
    }
  }

  #steps(id: string, n: number): (() => Promise<void>)[] {
    const { nodes, policies } = this.journal
    const [node, policy] = [`/mesh/nodes/${id}`, `/policies/${this.#prefix}-${id.split('-').at(-2)}`]
    const text = `rules: [] # ${n}\n`
    const create = { node_id: id, interfaces: [`if${n}`], protocols: ['olsr'], started: false }
    const from = this.#nodes[n % this.#nodes.length] ?? ''
    const to = this.#nodes[(n + 1 + (n % 3)) % this.#nodes.length] ?? ''
    return [
      async () => {
        if (await this.#write(201, 'POST', '/mesh/nodes', create)) nodes[id] = 0
      },
      () => this.#write(200, 'PATCH', node, { started: true }).then(() => {}),
      () => this.#read(node, (body) => body.started === true),
      async () => {
        const name = policy.slice('/policies/'.length)
        const done =
          n === 0
            ? await this.#write(201, 'POST', '/policies', { policy_id: name, yaml_content: text })
            : await this.#write(200, 'PUT', policy, { yaml_content: text })
        if (done) this.journal.policies[name] = text
      },
      () => this.#read(policy, (body) => body.yaml_content === policies[policy.slice('/policies/'.length)]),
      () =>
        this.#read(`/mesh/paths?source=${encodeURIComponent(from)}&destination=${encodeURIComponent(to)}`, () => true),
      async () => {
        if (n % 3 === 0 && (await this.#write(204, 'DELETE', node))) nodes[id] = null
      },
    ]
  }

  async #write(expected: number, method: string, address: string, body?: object): Promise<boolean> {
    const since = performance.now()
    const done = (await this.#request(expected, method, address, body)) !== undefined
    const ms = performance.now() - since
    if (ms > this.journal.longest.ms) this.journal.longest = { ms, what: `${method} ${address}` }
    if (done) this.journal.writes++
    return done
  }

  async #read(address: string, isRight: (body: Record<string, unknown>) => boolean): Promise<void> {
    const text = await this.#request(200, 'GET', address)
    if (text === undefined) return
    this.journal.reads++
    if (!isRight(JSON.parse(text))) this.journal.stale.push(`${address}: ${text}`)
  }

  async #request(expected: number, method: string, address: string, body?: object): Promise<string | undefined> {
    const json = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    const response = await fetch(this.#base + address, { method, ...json })
    const text = await response.text()
    if (response.status === expected) return text
    this.journal.rejected.push(`${method} ${address}: ${response.status} ${text}`)
    return undefined
  }
}
