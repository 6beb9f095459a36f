/** Signature version 4 of AWS (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html). */
import { createHash, createHmac } from 'node:crypto'

export interface Credentials {
  readonly key: string
  readonly secret: string
  readonly token: string | undefined
  readonly region: string
}

interface Request {
  readonly method: string
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

const hex = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex')
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
/** RFC 3986: `encodeURIComponent` leaves five characters alone that have to be encoded here. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`)

export function signed({ method, url, headers, body }: Request, given: Credentials, now: Date): Record<string, string> {
  const time = now.toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const date = time.slice(0, 8)
  const payload = hex(body ?? '')
  const all: Record<string, string> = {
    ...headers,
    'x-amz-content-sha256': payload,
    'x-amz-date': time,
    ...(given.token !== undefined && { 'x-amz-security-token': given.token }),
  }
  const named = Object.entries({ ...all, host: url.host }).sort(([a], [b]) => (a < b ? -1 : 1))
  const names = named.map(([name]) => name).join(';')
  const query = [...url.searchParams]
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .sort()
    .join('&')
  const path = url.pathname.split('/').map((part) => encoded(decodeURIComponent(part)))
  const lines = named.map(([name, value]) => `${name}:${value.trim()}\n`).join('')
  const canonical = [method, path.join('/'), query, lines, names, payload].join('\n')
  const scope = `${date}/${given.region}/s3/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', time, scope, hex(canonical)].join('\n')
  const signing = [given.region, 's3', 'aws4_request'].reduce<Buffer>(hmac, hmac(`AWS4${given.secret}`, date))
  const signature = hmac(signing, toSign).toString('hex')
  const authorization = `AWS4-HMAC-SHA256 Credential=${given.key}/${scope}, SignedHeaders=${names}, Signature=${signature}`
  return { ...all, authorization }
}
