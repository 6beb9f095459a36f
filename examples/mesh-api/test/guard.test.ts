/** The guard keeps other sites' pages, and callers without the token, out of the API. */
import { request } from 'node:http'
import { expect, test } from 'vitest'
import { eachLastingBackend } from '../../../test/support/settings.ts'
import { startWith } from './support/child.ts'
import { serving } from './support/serving.ts'
import { abilene } from './support/topologies.ts'

/** `fetch` sets Host and Origin itself. */
const statusOf = (url: string, method: string, headers: Readonly<Record<string, string>>): Promise<number> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
      if (response.headers['content-type']?.startsWith('text/event-stream')) response.destroy()
    })
    sent.on('error', reject)
    sent.end()
  })

eachLastingBackend('the mesh API on a laptop', (backend) => {
  test('refuses names that a page of another site can rebind, in every route', async () => {
    await using served = await serving(backend, abilene(), {}, { allowedHosts: ['mesh.example.net'] })
    const { base } = served.client
    for (const [method, path] of [
      ['DELETE', '/mesh/nodes/abilene-3'],
      ['GET', '/mesh/nodes'],
      ['GET', '/'],
      ['GET', '/nowhere'],
      ['GET', '/changes'],
    ] as const) {
      for (const host of ['evil.example', 'evil.example:8080', 'localhost.evil.example', '127.0.0.1.nip.io', 'a@b']) {
        expect([host, await statusOf(base + path, method, { host })]).toEqual([host, 421])
      }
    }
    expect(await served.store.nodes.get('abilene-3')).toBeDefined()
    for (const host of ['localhost:9', '127.0.0.1', '[::1]:8080', '192.168.1.7', 'LOCALHOST', 'mesh.example.net']) {
      expect([host, await statusOf(`${base}/mesh/nodes`, 'GET', { host })]).toEqual([host, 200])
    }
  })

  test("refuses requests that another site's page sends", async () => {
    await using served = await serving(backend, abilene())
    const { base } = served.client
    const { host } = new URL(base)
    for (const origin of ['http://evil.example', 'null', `https://evil.example/${host}`, 'http://localhost:1']) {
      expect([origin, await statusOf(`${base}/mesh/nodes/abilene-3`, 'DELETE', { origin })]).toEqual([origin, 403])
    }
    expect(await served.store.nodes.get('abilene-3')).toBeDefined()
    expect(await statusOf(`${base}/mesh/nodes/abilene-3`, 'DELETE', { origin: `http://${host}` })).toBe(204)
  })

  test('asks for the token, where it has one, of every request but for the page and the health', async () => {
    await using served = await serving(backend, abilene(), {}, { token: 'a secret' })
    const { base } = served.client
    for (const [method, path] of [
      ['GET', '/mesh/nodes'],
      ['DELETE', '/mesh/nodes/abilene-3'],
      ['GET', '/metrics'],
      ['GET', '/changes'],
    ] as const) {
      for (const authorization of [undefined, 'Bearer', 'Bearer wrong', 'Basic a secret', 'a secret']) {
        const headers = authorization === undefined ? {} : { authorization }
        expect([path, authorization, await statusOf(base + path, method, headers)]).toEqual([path, authorization, 401])
      }
    }
    expect(await statusOf(`${base}/mesh/nodes`, 'GET', { authorization: 'Bearer a secret' })).toBe(200)
    for (const path of ['/', '/page/main.js', '/health']) expect(await statusOf(base + path, 'GET', {})).toBe(200)
  })

  test('a thousand HEAD requests for the changes leave their place to those who listen', async () => {
    await using served = await serving(backend, abilene())
    const { base } = served.client
    for (let sent = 0; sent < 1_000; sent += 50) {
      const asked = Array.from({ length: 50 }, () => fetch(`${base}/changes`, { method: 'HEAD' }))
      for (const { status } of await Promise.all(asked)) expect(status).toBe(404)
    }
    expect(await statusOf(`${base}/changes`, 'GET', {})).toBe(200)
  })

  test('a policy of many keys is taken at once; PUT adds one that is new', async () => {
    await using served = await serving(backend, abilene())
    const { client } = served
    const yaml_content = Array.from({ length: 8_000 }, (_, key) => `k${key}: `).join('\n')
    const added = await client.ask('PUT', '/policies/p', { body: { yaml_content } })
    expect([added.status, added.headers.get('location')]).toEqual([201, '/policies/p'])
    const replaced = await client.ask('PUT', '/policies/p', { body: { yaml_content: 'rules: []\n' } })
    expect(replaced.status).toBe(200)
    const headers = { 'if-match': added.headers.get('etag') ?? '' }
    const stale = await client.ask('PUT', '/policies/other', { body: { yaml_content }, headers })
    expect(stale.status).toBe(412)
    const longest = 'rules: [] #'.padEnd(1_048_575, '\t')
    expect((await client.ask('PUT', '/policies/p', { body: { yaml_content: `${longest}\n` } })).status).toBe(200)
    const longer = await client.ask('PUT', '/policies/p', { body: { yaml_content: `${longest}\n\n` } })
    expect(longer.status).toBe(400)
  })
})

test('the command takes a token from the environment', async () => {
  await using child = await startWith({ MESH_API_TOKEN: 'of the environment' }, '--url', 'sqlite::memory:')
  expect(await statusOf(`${child.base}/mesh/nodes`, 'GET', {})).toBe(401)
  expect(await statusOf(`${child.base}/mesh/nodes`, 'GET', { authorization: 'Bearer of the environment' })).toBe(200)
})
