/** Holds every response against the OpenAPI document that the server gives of itself. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { expect } from 'vitest'

interface Operation {
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, unknown>> }>>
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>
export interface OpenApi {
  readonly paths: Paths
}

/** A route and an answer of it, as the document names them. */
export interface Answered {
  readonly method: string
  readonly pathname: string
  readonly status: number
  readonly contentType: string | null
  readonly body: unknown
}

export class Description {
  readonly #paths: Paths
  readonly #patterns: readonly { readonly template: string; readonly pattern: RegExp }[]
  readonly #validators = new Map<string, ValidateFunction>()
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true })
  /** The answers that were compared with it: `GET /mesh/nodes 200`. */
  readonly seen = new Set<string>()

  constructor(document: OpenApi) {
    this.#paths = document.paths
    formats.default(this.#ajv)
    this.#ajv.addSchema(document, 'openapi')
    this.#patterns = Object.keys(document.paths).map((template) => ({
      template,
      pattern: new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
    }))
  }

  /** `GET /mesh/nodes 200` and so on: all that it describes. */
  get all(): string[] {
    return Object.entries(this.#paths).flatMap(([path, operations]) =>
      Object.entries(operations).flatMap(([method, { responses }]) =>
        Object.keys(responses)
          .filter((status) => status !== 'default')
          .map((status) => `${method.toUpperCase()} ${path} ${status}`),
      ),
    )
  }

  check({ method, pathname, status, contentType, body }: Answered): void {
    const template = this.#patterns.find(({ pattern }) => pattern.test(pathname))?.template
    const what = `${method} ${template ?? pathname} ${status}`
    const response = this.#paths[template ?? '']?.[method.toLowerCase()]?.responses[status]
    if (template === undefined || response === undefined) throw new Error(`The document does not describe ${what}.`)
    this.seen.add(what)
    if (response.content === undefined) {
      expect(body, what).toBe('')
      return
    }
    const type = contentType?.split(';')[0] ?? ''
    expect(Object.keys(response.content), what).toContain(type)
    const pointer = ['paths', template, method.toLowerCase(), 'responses', String(status), 'content', type, 'schema']
    const path = pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')
    const validate = this.#validators.get(path) ?? this.#ajv.compile({ $ref: `openapi#/${path}` })
    this.#validators.set(path, validate)
    validate(body)
    expect(validate.errors, `${what}: ${JSON.stringify(body).slice(0, 500)}`).toBeNull()
  }
}
