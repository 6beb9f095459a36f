/** Clients that write over HTTP for as long as somebody answers, and remember what was acknowledged. */

/** A row as a client writes it; `null`: it is not there. */
type Content = Readonly<Record<string, unknown>> | null

interface Row {
  /** The content that was acknowledged last. */
  acknowledged: Content
  /** The content that was asked for and not answered. */
  asked: Content | undefined
}

export class Load {
  /** By the address of a row. */
  readonly rows = new Map<string, Row>()
  acknowledgements = 0
  readonly #base: string
  readonly #lanes: Promise<void>[]
  #failure: unknown

  constructor(base: string, lanes: number) {
    this.#base = base
    this.#lanes = Array.from({ length: lanes }, (_, lane) => this.#write(lane))
  }

  /** Resolves once so many writes have been acknowledged; rejects if the server answers what it should not. */
  async acknowledged(count: number): Promise<void> {
    while (this.acknowledgements < count) {
      if (this.#failure !== undefined) throw this.#failure
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }

  /** Resolves once nobody answers any more. */
  async over(): Promise<void> {
    await Promise.all(this.#lanes)
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Adds, changes and removes nodes and policies; the rows of a lane are its own. */
  async #write(lane: number): Promise<void> {
    try {
      for (let n = 0; ; n++) {
        const id = `load-${lane}-${n}`
        const [node, policy] = [`/mesh/nodes/${id}`, `/policies/${id}`]
        await this.#send(201, 'POST', node, {
          node_id: id,
          interfaces: [`if${n}`],
          protocols: ['olsr'],
          started: false,
        })
        await this.#send(200, 'PATCH', node, { started: true })
        if (n % 3 === 0) await this.#send(204, 'DELETE', node)
        await this.#send(201, 'POST', policy, { policy_id: id, yaml_content: `rules: [] # ${n}` })
        await this.#send(200, 'PUT', policy, { yaml_content: `rules: [] # ${n}, again` })
        if (n % 3 === 1) await this.#send(204, 'DELETE', policy)
      }
    } catch (error) {
      // A connection that breaks is what this is about.
      if (!(error instanceof TypeError)) this.#failure = error
    }
  }

  async #send(expected: number, method: string, address: string, body?: Record<string, unknown>): Promise<void> {
    const row: Row = this.rows.get(address) ?? { acknowledged: null, asked: undefined }
    this.rows.set(address, row)
    row.asked = body === undefined ? null : { ...row.acknowledged, ...body }
    const to = method === 'POST' ? address.slice(0, address.lastIndexOf('/')) : address
    const response = await fetch(this.#base + to, {
      method,
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (response.status !== expected) throw new Error(`${method} ${to}: ${response.status} ${text}`)
    row.acknowledged = row.asked
    row.asked = undefined
    this.acknowledgements++
  }
}

export interface Verdict {
  readonly rows: number
  /** Rows of which the last write was not answered; and those of them that show it all the same. */
  readonly unanswered: number
  readonly carriedOut: readonly string[]
  /** Rows that are neither as acknowledged last nor as asked for since. */
  readonly lost: readonly string[]
}

/** Reads every row that the load has written, from a server that was started later. */
export async function judge(base: string, { rows }: Load): Promise<Verdict> {
  const lost: string[] = []
  const carriedOut: string[] = []
  for (const [address, { acknowledged, asked }] of rows) {
    const response = await fetch(base + address)
    const found = response.status === 404 ? null : ((await response.json()) as Content)
    const isAs = (content: Content): boolean =>
      content === null || found === null
        ? content === found
        : Object.entries(content).every(([name, value]) => JSON.stringify(found[name]) === JSON.stringify(value))
    if (isAs(acknowledged)) continue
    if (asked !== undefined && isAs(asked)) carriedOut.push(address)
    else lost.push(address)
  }
  const unanswered = [...rows.values()].filter(({ asked }) => asked !== undefined).length
  return { rows: rows.size, unanswered, carriedOut, lost }
}
