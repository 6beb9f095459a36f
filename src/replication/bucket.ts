/** An S3-compatible bucket as a place. */
import { StorageError } from '../errors.ts'
import { machineTime, sleep } from '../event-loop.ts'
import type { Place } from './place.ts'
import { type Credentials, signed } from './signature.ts'

const TIMEOUT_MS = 30_000
const ATTEMPTS = 4
const FIRST_PAUSE_MS = 100
/** Answers after which the same request may succeed: a conflict with another request, a limit, a server's trouble. */
const mayPass = (status: number): boolean => status === 409 || status === 429 || status >= 500

type Environment = Readonly<Record<string, string | undefined>>

interface Answer {
  readonly status: number
  readonly body: Buffer
}

export class BucketPlace implements Place {
  readonly name: string
  readonly #endpoint: string
  readonly #bucket: string
  readonly #prefix: string
  readonly #credentials: Credentials
  readonly #now: () => Date
  #isProbed = false
  #stopping = new AbortController()

  /** `s3://bucket/prefix?endpoint=https://…&region=…`. Keys, and what the URL leaves out, come from AWS's variables. Throws CONFIG. */
  constructor(url: string, environment: Environment = process.env, now = machineTime) {
    this.#now = now
    const { bucket, prefix, options } = parts(url)
    const region = options.get('region') ?? environment.AWS_REGION ?? environment.AWS_DEFAULT_REGION ?? 'us-east-1'
    const endpoint =
      options.get('endpoint') ??
      environment.AWS_ENDPOINT_URL_S3 ??
      environment.AWS_ENDPOINT_URL ??
      `https://s3.${region}.amazonaws.com`
    const { AWS_ACCESS_KEY_ID: key, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = environment
    if (!key || !secret)
      throw new StorageError(
        'CONFIG',
        'A bucket needs keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment.',
      )
    this.#credentials = { key, secret, token, region }
    this.#endpoint = originOf(endpoint)
    this.#bucket = bucket
    this.#prefix = prefix
    this.name = `s3://${bucket}/${prefix}`.replace(/\/$/, '')
  }

  /** Two processes could ship to a bucket that ignores `If-None-Match`, and neither would know of the other. */
  async prepare(): Promise<void> {
    if (this.#isProbed) return
    const probe = `probe-${crypto.randomUUID()}`
    await this.create(probe, Buffer.from('1'))
    const isReplaced = await this.create(probe, Buffer.from('2'))
    await this.remove(probe)
    if (isReplaced)
      throw new StorageError(
        'CONFIG',
        `${this.name} ignores If-None-Match: two processes could overwrite each other's segments. Nothing was shipped. Use a server that supports conditional writes.`,
      )
    this.#isProbed = true
  }

  stop(): void {
    this.#stopping.abort()
    this.#stopping = new AbortController()
  }

  async create(name: string, bytes: Uint8Array): Promise<boolean> {
    const { status, body } = await this.#ask('PUT', name, { body: bytes, headers: { 'if-none-match': '*' } })
    if (status === 200) return true
    if (status === 412) return false
    throw this.#failure('PUT', status, body)
  }

  async get(name: string): Promise<Buffer | undefined> {
    const { status, body } = await this.#ask('GET', name)
    if (status === 200) return body
    if (status === 404 && codeOf(body) !== 'NoSuchBucket') return undefined
    throw this.#failure('GET', status, body)
  }

  async list(folder: string, after = ''): Promise<string[]> {
    const prefix = `${this.#prefix}${folder}/`
    const start = after === '' ? {} : { 'start-after': `${this.#prefix}${after}` }
    const texts = await this.#pages({ prefix, ...start })
    return texts
      .flatMap((text) => valuesOf(text, 'Key'))
      .map((key) => key.slice(this.#prefix.length))
      .sort()
  }

  async folders(): Promise<string[]> {
    const texts = await this.#pages({ prefix: this.#prefix, delimiter: '/' })
    return texts
      .flatMap((text) => valuesOf(text, 'CommonPrefixes'))
      .flatMap((text) => valuesOf(text, 'Prefix'))
      .map((prefix) => prefix.slice(this.#prefix.length, -1))
      .sort()
  }

  async #pages(query: Readonly<Record<string, string>>): Promise<string[]> {
    const texts: string[] = []
    for (let token: string | undefined = ''; token !== undefined; ) {
      const next = token === '' ? {} : { 'continuation-token': token }
      const { status, body } = await this.#ask('GET', '', { query: { 'list-type': '2', ...query, ...next } })
      if (status !== 200) throw this.#failure('LIST', status, body)
      const text = body.toString('utf8')
      texts.push(text)
      token = valuesOf(text, 'NextContinuationToken')[0]
    }
    return texts
  }

  async remove(name: string): Promise<void> {
    const { status, body } = await this.#ask('DELETE', name)
    if (status >= 300 && status !== 404) throw this.#failure('DELETE', status, body)
  }

  async #ask(
    method: string,
    name: string,
    {
      body,
      headers = {},
      query = {},
    }: { body?: Uint8Array; headers?: Record<string, string>; query?: Readonly<Record<string, string>> } = {},
  ): Promise<Answer> {
    const path = name === '' ? this.#bucket : `${this.#bucket}/${this.#prefix}${name}`
    const url = new URL(`${this.#endpoint}/${path}`)
    for (const [each, value] of Object.entries(query)) url.searchParams.set(each, value)
    const { signal } = this.#stopping
    for (let attempt = 1; ; attempt++) {
      const request = { method, url, headers, body, signal }
      const answer = await this.#answer(request).catch((error: unknown) => error)
      if (isAnswer(answer) && (!mayPass(answer.status) || attempt === ATTEMPTS)) return answer
      if (attempt === ATTEMPTS || signal.aborted)
        throw new StorageError(
          'UNAVAILABLE',
          `${this.name} did not answer ${method}. The object may or may not be there. Try again.`,
          {
            cause: answer,
          },
        )
      await sleep(FIRST_PAUSE_MS * 2 ** attempt)
    }
  }

  async #answer(request: {
    method: string
    url: URL
    headers: Record<string, string>
    body: Uint8Array | undefined
    signal: AbortSignal
  }): Promise<Answer> {
    const { method, url, body } = request
    const response = await fetch(url, {
      method,
      headers: signed(request, this.#credentials, this.#now()),
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(TIMEOUT_MS)]),
      redirect: 'error',
      ...(body !== undefined && { body: body as Uint8Array<ArrayBuffer> }),
    })
    return { status: response.status, body: Buffer.from(await response.arrayBuffer()) }
  }

  #failure(method: string, status: number, body: Buffer): StorageError {
    const code = codeOf(body) ?? 'no code'
    const said = `${this.name} refused ${method} (${status}, ${code}). Nothing was changed there.`
    if (status === 401 || status === 403)
      return new StorageError(
        'CONFIG',
        `${said} The keys need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket.`,
      )
    if (status === 404) return new StorageError('CONFIG', `${said} Create the bucket, or look at its name.`)
    return new StorageError(mayPass(status) ? 'UNAVAILABLE' : 'CONFIG', `${said} Try again, and look at the server.`)
  }
}

const isAnswer = (value: unknown): value is Answer => typeof value === 'object' && value !== null && 'status' in value

/** The contents of the elements with this name. The names that a place uses need no entities. */
const valuesOf = (xml: string, element: string): string[] =>
  Array.from(xml.matchAll(new RegExp(`<${element}>(.*?)</${element}>`, 'gs')), ([, value = '']) => value)

const codeOf = (body: Buffer): string | undefined => valuesOf(body.toString('utf8'), 'Code')[0]

/** Throws CONFIG. The URL appears in no message: it may hold a secret where none belongs. */
function parts(url: string): { bucket: string; prefix: string; options: URLSearchParams } {
  const [, bucket, prefix = '', query = ''] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([\w./-]*))?(?:\?(.*))?$/i.exec(url) ?? []
  if (bucket === undefined)
    throw new StorageError(
      'CONFIG',
      'The URL names no bucket. Use s3://bucket/prefix, with letters, digits, dots, dashes and slashes.',
    )
  const folder = prefix.replace(/\/+$/, '')
  return { bucket, prefix: folder === '' ? '' : `${folder}/`, options: new URLSearchParams(query) }
}

function originOf(endpoint: string): string {
  try {
    const url = new URL(endpoint)
    if (/^https?:$/.test(url.protocol)) return url.origin
  } catch {}
  throw new StorageError('CONFIG', 'The endpoint of the bucket is no URL. Give one that begins with https: or http:.')
}
