/** A client of server-sent events. */
import { once } from 'node:events'
import { get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'

export interface Event {
  readonly event: string
  readonly id: string
  readonly data: Readonly<Record<string, unknown>>
}

export class Events implements AsyncDisposable {
  readonly headers: IncomingHttpHeaders
  readonly #response: IncomingMessage
  readonly #chunks: AsyncIterator<string>
  #text = ''

  private constructor(response: IncomingMessage) {
    this.headers = response.headers
    this.#response = response
    this.#chunks = response.setEncoding('utf8')[Symbol.asyncIterator]()
  }

  /** Connected; `after` is the last id that was heard. */
  static async from(base: string, after?: string): Promise<Events> {
    // A connection of its own, which ends with it.
    const headers = after === undefined ? {} : { 'last-event-id': after }
    const [response] = await once(get(`${base}/changes`, { headers, agent: false }), 'response')
    return new Events(response)
  }

  /** The next one; `undefined` if there is none, since the server has ended it. */
  async next(): Promise<Event | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end >= 0) {
        const block = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 2)
        const event = eventIn(block)
        // Or a comment.
        if (event !== undefined) return event
        continue
      }
      const { value, done } = await this.#chunks.next()
      if (done === true) return undefined
      this.#text += value
    }
  }

  async take(count: number): Promise<Event[]> {
    const taken: Event[] = []
    while (taken.length < count) {
      const event = await this.next()
      if (event === undefined) throw new Error(`It ended after ${JSON.stringify(taken)}`)
      taken.push(event)
    }
    return taken
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#response.destroy()
  }
}

function eventIn(block: string): Event | undefined {
  const fields = new Map(
    block.split('\n').map((line) => [line.split(': ')[0] ?? '', line.slice(line.indexOf(': ') + 2)]),
  )
  const [event, id, data] = [fields.get('event'), fields.get('id'), fields.get('data')]
  return event === undefined || id === undefined || data === undefined
    ? undefined
    : { event, id, data: JSON.parse(data) }
}
