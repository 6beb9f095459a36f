/** A client of the API over a real connection; it takes no answer that the document does not describe. */
import { Description, type OpenApi } from './description.ts'

export interface Answer<T> {
  readonly status: number
  readonly headers: Headers
  readonly body: T
}

export interface Asked {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export class Client {
  readonly base: string
  readonly description: Description

  private constructor(base: string, description: Description) {
    this.base = base
    this.description = description
  }

  static async of(base: string, token = ''): Promise<Client> {
    const response = await fetch(`${base}/openapi.json`, { headers: { authorization: `Bearer ${token}` } })
    // A test of its own proves that it is one.
    return new Client(base, new Description((await response.json()) as OpenApi))
  }

  /** The caller says what it expects: the document has proved the shape. */
  async ask<T = Record<string, unknown>>(method: string, path: string, asked: Asked = {}): Promise<Answer<T>> {
    const { body, headers = {} } = asked
    const sent = typeof body === 'string' ? body : JSON.stringify(body)
    const response = await fetch(this.base + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: sent }),
    })
    const text = await response.text()
    const contentType = response.headers.get('content-type')
    const read = contentType?.includes('json') ? JSON.parse(text) : text
    const { pathname } = new URL(this.base + path)
    this.description.check({ method, pathname, status: response.status, contentType, body: read })
    return { status: response.status, headers: response.headers, body: read }
  }
}
