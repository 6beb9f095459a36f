/** A bucket of a real S3 server. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BucketPlace } from '../../src/replication/bucket.ts'
import { checkPlace } from '../../src/replication/check-place.ts'
import { signed } from '../../src/replication/signature.ts'
import { lastingBackends, sqliteFile } from '../support/backends.ts'
import { manyNodes, node } from '../support/samples.ts'
import { hasMoto, KEYS, startMoto } from './support/bucket-server.ts'
import { contentOf, restored, shipping } from './support/replicas.ts'

describe.skipIf(!hasMoto)('a bucket', () => {
  let server: Awaited<ReturnType<typeof startMoto>>
  let made = 0
  const placeIn = async (prefix = 'a/b'): Promise<{ url: string; place: BucketPlace }> => {
    const bucket = `replica-${++made}`
    await server.makeBucket(bucket)
    const url = `s3://${bucket}/${prefix}?endpoint=${server.endpoint}`
    return { url, place: new BucketPlace(url) }
  }
  beforeAll(async () => {
    Object.assign(process.env, KEYS)
    server = await startMoto()
  })
  afterAll(() => server?.stop())

  test('creates an object once, of many that try', async () => {
    const { place } = await placeIn()
    const tries = await Promise.all(Array.from({ length: 20 }, (_, each) => place.create('x', Buffer.from(`${each}`))))
    expect(tries.filter(Boolean)).toHaveLength(1)
    expect(String(await place.get('x'))).toBe(String(tries.indexOf(true)))
    expect(await place.get('y')).toBeUndefined()
  })

  test('lists more objects than one answer holds, and folders', async () => {
    const { place } = await placeIn('')
    const names = Array.from({ length: 1_050 }, (_, each) => `g000001/${String(each).padStart(10, '0')}.segment`)
    for (let at = 0; at < names.length; at += 50)
      await Promise.all(names.slice(at, at + 50).map((name) => place.create(name, Buffer.from('x'))))
    await place.create('g000002/begin', Buffer.from('x'))
    expect(await place.list('g000001')).toEqual(names)
    expect(await place.list('g000001', names[1_040])).toEqual(names.slice(1_041))
    expect(await place.folders()).toEqual(['g000001', 'g000002'])
    await place.remove('g000002/begin')
    expect(await place.folders()).toEqual(['g000001'])
  })

  for (const backend of lastingBackends) {
    test(`holds a replica of ${backend.name}`, async () => {
      const { url, place } = await placeIn()
      await using opened = await backend.open()
      await using it = await shipping(opened.url, place)
      await it.store.nodes.saveMany(manyNodes(300))
      await it.shipper.flush()
      await it.store.nodes.delete('n-0007')
      await it.store.nodes.save(node('late'))
      await it.shipper.flush()
      const { content, problem } = await restored(url)
      expect(problem).toBeUndefined()
      expect(content).toEqual(await contentOf(it.store))
      const now = new Date()
      expect(await checkPlace(place, { now })).toMatchObject({ segments: 2, bases: 1, findings: [] })
      await place.remove('g000001/0000000001.base-000000')
      expect((await checkPlace(place, { now })).findings).toMatchObject([
        { severity: 'error' },
        { severity: 'warning' },
      ])
    })
  }

  test('that is missing is a usage error', async () => {
    const place = new BucketPlace(`s3://missing-bucket/a?endpoint=${server.endpoint}`)
    await expect(place.prepare()).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining('NoSuchBucket'),
    })
  })
})

/** A server that answers every request in one way. */
async function answering(status: number, body = ''): Promise<{ url: string; asked: string[]; close: () => void }> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.method ?? '')
    request.resume()
    request.once('end', () => response.writeHead(status).end(body))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = `s3://bucket/a?endpoint=http://127.0.0.1:${port}`
  return { url, asked, close: () => void server.close() }
}

test('a bucket that ignores If-None-Match is refused', async () => {
  const server = await answering(200)
  await expect(new BucketPlace(server.url, KEYS).prepare()).rejects.toMatchObject({
    code: 'CONFIG',
    message: expect.stringContaining('ignores If-None-Match'),
  })
  server.close()
})

test('missing rights, and missing keys, are named', async () => {
  const server = await answering(403, '<Error><Code>AccessDenied</Code></Error>')
  await expect(new BucketPlace(server.url, KEYS).create('x', Buffer.from('x'))).rejects.toMatchObject({
    code: 'CONFIG',
    message: expect.stringContaining('s3:PutObject'),
  })
  server.close()
  expect(() => new BucketPlace(server.url, {})).toThrow(/AWS_ACCESS_KEY_ID/)
})

test('a store closes while its bucket does not answer', async () => {
  const asked = Promise.withResolvers<void>()
  const server = createServer(() => asked.resolve())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  Object.assign(process.env, KEYS)
  await using opened = await sqliteFile.open({ replicate: { to: `s3://bucket/a?endpoint=http://127.0.0.1:${port}` } })
  await asked.promise
  // Without an end of the request it would wait for 30 s, four times.
  await opened.store.close()
  server.closeAllConnections()
  server.close()
}, 20_000)

test('a conflict and a server in trouble are asked again, then are UNAVAILABLE', async () => {
  for (const status of [409, 503]) {
    const server = await answering(status)
    await expect(new BucketPlace(server.url, KEYS).create('x', Buffer.from('x'))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(server.asked).toHaveLength(4)
    server.close()
  }
})

/** From AWS's own examples: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
test('the signature is that of the example of AWS', () => {
  const credentials = {
    key: 'AKIAIOSFODNN7EXAMPLE',
    secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    token: undefined,
    region: 'us-east-1',
  }
  const url = new URL('https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J')
  const request = { method: 'GET', url, headers: {}, body: undefined }
  const { authorization } = signed(request, credentials, new Date('2013-05-24T00:00:00Z'))
  expect(authorization).toMatch(/Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7$/)
})
