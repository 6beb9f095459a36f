/** The API as a client sees it. Each answer is held against the OpenAPI document. */
import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { gate } from '../../../test/support/gate.ts'
import { eachLastingBackend } from '../../../test/support/settings.ts'
import type { Answer, Asked, Client } from './support/client.ts'
import { type Serving, serving } from './support/serving.ts'
import { abilene } from './support/topologies.ts'

interface Problem {
  readonly status: number
  readonly title: string
  readonly detail: string
  readonly code?: string
  readonly issues?: { path: string; message: string }[]
}
interface Node {
  readonly node_id: string
  readonly started: boolean
  readonly protocols: string[]
}
interface Page {
  readonly items: { node_id: string; policy_id: string }[]
  readonly next: string | null
}
interface Paths {
  readonly primary: { nodes: string[]; total_weight: number }[]
  readonly alternatives: { nodes: string[] }[]
  readonly stats: { policy_filtered: number }
  readonly cache: { origin: string; expires_at: string }
}

interface Activity {
  readonly samples: {
    readonly at: number
    readonly statements: number
    readonly commits: number
    readonly waiting_writes: number
    readonly statement_p99_ms: number | null
    readonly hit_rate: number | null
  }[]
}

/** An answer without an end: changes.test.ts. */
const EVENTS = 'GET /changes 200'
const NODE = { node_id: 'n1', interfaces: ['eth0'], protocols: ['batman-adv'] }
const POLICY = { policy_id: 'p1', yaml_content: 'rules: []\n' }
const deny = (action: string): string => `rules: [{ id: r, effect: DENY, subject: "*", action: "${action}" }]`

eachLastingBackend('the mesh API', (backend) => {
  /** The answers that were compared with the document. */
  const seen = new Set<string>()
  let described: readonly string[] = []

  const served = async (work: (client: Client, serving: Serving) => Promise<void>, options = {}): Promise<void> => {
    await using running = await serving(backend, abilene(), options)
    await work(running.client, running)
    for (const each of running.client.description.seen) seen.add(each)
    described = running.client.description.all
  }

  /** Expects a problem, and returns what it says. */
  const refused = async (client: Client, status: number, method: string, path: string, asked: Asked = {}) => {
    const { status: got, headers, body } = await client.ask<Problem>(method, path, asked)
    expect({ status: got, type: headers.get('content-type')?.split(';')[0] }, JSON.stringify(body)).toEqual({
      status,
      type: 'application/problem+json',
    })
    expect(body.status).toBe(status)
    return { ...body, headers }
  }

  test('describes itself by a valid OpenAPI document', () =>
    served(async ({ base }) => {
      const response = await fetch(`${base}/openapi.json`)
      const document = (await response.json()) as { readonly openapi: string; readonly paths: object }
      expect(await new Validator().validate({ ...document })).toEqual({ valid: true })
      expect(document.openapi).toMatch(/^3\.1\./)
      expect(Object.keys(document.paths).toSorted()).toEqual([
        '/activity',
        '/changes',
        '/health',
        '/mesh/links',
        '/mesh/links/{id}',
        '/mesh/map',
        '/mesh/nodes',
        '/mesh/nodes/{id}',
        '/mesh/nodes/{id}/links',
        '/mesh/paths',
        '/metrics',
        '/policies',
        '/policies/{id}',
      ])
    }))

  test('adds, reads, changes and removes a node', () =>
    served(async (client, { store }) => {
      const added = await client.ask<Node>('POST', '/mesh/nodes', { body: NODE })
      expect([added.status, added.headers.get('location')]).toEqual([201, '/mesh/nodes/n1'])
      expect(added.body).toMatchObject({ ...NODE, started: false, routes_discovered: 0 })
      const read = await client.ask<Node>('GET', '/mesh/nodes/n1')
      expect([read.status, read.body]).toEqual([200, added.body])
      expect(read.headers.get('etag')).toBe(added.headers.get('etag'))

      const changed = await client.ask<Node>('PATCH', '/mesh/nodes/n1', {
        body: { started: true, protocols: ['olsr'] },
      })
      expect(changed.body).toMatchObject({ started: true, protocols: ['olsr'], interfaces: ['eth0'] })
      expect(changed.headers.get('etag')).not.toBe(read.headers.get('etag'))
      expect(await store.nodes.get('n1')).toMatchObject({ started: true, protocols: ['olsr'] })

      expect((await client.ask('DELETE', '/mesh/nodes/n1')).status).toBe(204)
      expect(await store.nodes.get('n1')).toBeUndefined()
      await refused(client, 404, 'GET', '/mesh/nodes/n1')
      await refused(client, 404, 'DELETE', '/mesh/nodes/n1')
      await refused(client, 404, 'PATCH', '/mesh/nodes/n1', { body: { started: true } })
    }))

  test('takes any text as an id', () =>
    served(async (client) => {
      for (const id of ['fe80::1%eth0', 'a/b?c#d', '../x', 'ä 漢字 😀', 'x'.repeat(255), '😀'.repeat(127)]) {
        const added = await client.ask('POST', '/mesh/nodes', { body: { ...NODE, node_id: id } })
        const path = added.headers.get('location') ?? ''
        expect((await client.ask<Node>('GET', path)).body.node_id).toBe(id)
        expect((await client.ask('DELETE', path)).status).toBe(204)
      }
    }))

  test('changes only the version that was read', () =>
    served(async (client) => {
      const first = (await client.ask('POST', '/mesh/nodes', { body: NODE })).headers.get('etag') ?? ''
      const second = await client.ask('PATCH', '/mesh/nodes/n1', {
        body: { started: true },
        headers: { 'if-match': first },
      })
      expect(second.status).toBe(200)
      for (const stale of [first, '"anything"', 'W/"weak"', first.slice(1, -1)]) {
        const headers = { 'if-match': stale }
        await refused(client, 412, 'PATCH', '/mesh/nodes/n1', { body: { started: false }, headers })
        await refused(client, 412, 'DELETE', '/mesh/nodes/n1', { headers })
      }
      expect((await client.ask<Node>('GET', '/mesh/nodes/n1')).body.started).toBe(true)
      const headers = { 'if-match': second.headers.get('etag') ?? '' }
      expect((await client.ask('DELETE', '/mesh/nodes/n1', { headers })).status).toBe(204)

      await client.ask('POST', '/policies', { body: POLICY })
      const policy = await client.ask('GET', '/policies/p1')
      const version = { 'if-match': policy.headers.get('etag') ?? '' }
      const body = { yaml_content: 'rules: [] # again\n' }
      expect((await client.ask('PUT', '/policies/p1', { body, headers: version })).status).toBe(200)
      await refused(client, 412, 'PUT', '/policies/p1', { body, headers: version })
      await refused(client, 412, 'DELETE', '/policies/p1', { headers: version })
      expect((await client.ask('PUT', '/policies/p1', { body, headers: { 'if-match': '*' } })).status).toBe(200)
    }))

  test('of two who change the same version, one succeeds', () =>
    served(async (client) => {
      const headers = {
        'if-match': (await client.ask('POST', '/mesh/nodes', { body: NODE })).headers.get('etag') ?? '',
      }
      const body = { started: true }
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => client.ask('PATCH', '/mesh/nodes/n1', { body, headers })),
      )
      expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412, 412, 412, 412])
    }))

  test('adds, reads, changes and removes a link', () =>
    served(async (client, { store }) => {
      for (const node_id of ['n1', 'fe80::2']) await client.ask('POST', '/mesh/nodes', { body: { ...NODE, node_id } })
      const body = { source: 'n1', target: 'fe80::2', cost: 1.5, kind: 'wifi' }
      const added = await client.ask('POST', '/mesh/links', { body })
      expect(added).toMatchObject({ status: 201, body: { ...body, link_id: 'n1:fe80%3A%3A2' } })
      const path = added.headers.get('location') ?? ''
      expect((await client.ask('GET', path)).body).toEqual(added.body)
      await refused(client, 409, 'POST', '/mesh/links', { body })
      await refused(client, 404, 'POST', '/mesh/links', { body: { ...body, target: 'nobody' } })
      await refused(client, 400, 'POST', '/mesh/links', { body: { ...body, target: 'n1' } })
      await refused(client, 400, 'POST', '/mesh/links', { body: { ...body, cost: -1 } })
      expect((await client.ask('GET', '/mesh/nodes/fe80%3A%3A2/links')).body).toEqual({
        items: [{ link_id: 'n1:fe80%3A%3A2', node_id: 'n1', label: 'n1', started: false, cost: 1.5, kind: 'wifi' }],
      })
      await refused(client, 404, 'GET', '/mesh/nodes/nobody/links')

      const version = { 'if-match': added.headers.get('etag') ?? '' }
      const changed = await client.ask('PATCH', path, { body: { cost: 4 }, headers: version })
      expect(changed.body).toMatchObject({ cost: 4, kind: 'wifi' })
      expect(await store.tables.links.get('n1:fe80%3A%3A2')).toMatchObject({ cost: 4 })
      await refused(client, 412, 'PATCH', path, { body: { cost: 5 }, headers: version })
      await refused(client, 412, 'DELETE', path, { headers: version })
      await refused(client, 400, 'PATCH', path, { body: {} })
      const { body: page } = await client.ask<{ items: { link_id: string }[]; next: string }>(
        'GET',
        '/mesh/links?limit=2',
      )
      expect(page.items.map(({ link_id }) => link_id)).toEqual(['abilene-0:abilene-1', 'abilene-0:abilene-2'])
      expect(page.next).toBe('/mesh/links?limit=2&after=abilene-0%3Aabilene-2')
      await refused(client, 400, 'GET', '/mesh/links?limit=0')
      const { body: own } = await client.ask<{ items: unknown[] }>('GET', '/mesh/links?source=n1')
      expect(own.items).toEqual([changed.body])
      expect((await client.ask('DELETE', path)).status).toBe(204)
      for (const method of ['GET', 'DELETE']) await refused(client, 404, method, path)
      await refused(client, 404, 'PATCH', path, { body: { cost: 1 } })
    }))

  test("sees a changed link's weight in the next paths, whoever changed it", () =>
    served(async (client, { store }) => {
      const weights = async (): Promise<[string, number[]]> => {
        const { body } = await client.ask<Paths>('GET', '/mesh/paths?source=abilene-3&destination=abilene-9&k=1')
        return [body.cache.origin, body.primary.map(({ total_weight }) => total_weight)]
      }
      const [, [first = 0]] = await weights()
      expect(await weights()).toEqual(['hit', [first]])
      const links = await store.tables.links.list({ where: { source: 'abilene-3' } })
      const dear = { cost: 1_000 }
      for (const { linkId } of links)
        await client.ask('PATCH', `/mesh/links/${encodeURIComponent(linkId)}`, { body: dear })
      const [origin, [second = 0]] = await weights()
      expect([origin, second > first]).toEqual(['computed', true])
      for (const { linkId, cost } of links) await store.tables.links.update(linkId, { cost })
      const [again, [third = 0]] = await weights()
      expect(again).toBe('computed')
      expect(third).toBeCloseTo(first, 9)
      // A new link is used where it is the better way.
      await client.ask('POST', '/mesh/links', { body: { source: 'abilene-9', target: 'abilene-3', cost: 0.25 } })
      expect(await weights()).toEqual(['computed', [0.25]])
    }))

  test('says what is wrong with a request', () =>
    served(async (client) => {
      const issues = async (method: string, path: string, body?: unknown): Promise<string[]> => {
        const problem = await refused(client, 400, method, path, body === undefined ? {} : { body })
        expect(problem.code).toBe('VALIDATION')
        return problem.issues?.map(({ path }) => path) ?? []
      }
      const post = (change: object) => issues('POST', '/mesh/nodes', { ...NODE, ...change })
      expect(await post({ node_id: undefined })).toEqual(['node_id'])
      expect(await post({ node_id: 7 })).toEqual(['node_id'])
      expect(await post({ started: 'yes' })).toEqual(['started'])
      expect(await post({ colour: 'red' })).toEqual(['colour'])
      expect(await post({ interfaces: ['a', 7] })).toEqual(['interfaces[1]'])
      // These are the storage's own words.
      expect(await post({ node_id: 'a\0b' })).toEqual(['node_id'])
      expect(await post({ interfaces: ['a', ''], protocols: ['\ud800'] })).toEqual(['interfaces[1]', 'protocols[0]'])
      expect(await issues('PATCH', '/mesh/nodes/abilene-0', { protocols: [''] })).toEqual(['protocols[0]'])
      expect(await issues('PATCH', '/mesh/nodes/abilene-0', {})).toEqual([''])
      expect(await issues('GET', '/mesh/nodes?limit=0')).toEqual(['limit'])
      expect(await issues('GET', '/mesh/nodes?limit=many')).toEqual(['limit'])
      expect(await issues('GET', '/policies?limit=1001')).toEqual(['limit'])
      expect(await issues('GET', `/mesh/nodes/${'x'.repeat(256)}`)).toHaveLength(1)
      expect(await issues('DELETE', `/mesh/nodes/${'x'.repeat(256)}`)).toHaveLength(1)
      expect(await issues('GET', `/mesh/links/${'x'.repeat(256)}`)).toHaveLength(1)
      expect(await issues('DELETE', `/mesh/links/${'x'.repeat(256)}`)).toHaveLength(1)
      expect(await issues('GET', `/mesh/nodes/${'x'.repeat(256)}/links`)).toHaveLength(1)
      expect(await issues('GET', `/policies/${'x'.repeat(256)}`)).toHaveLength(1)
      expect(await issues('DELETE', `/policies/${'x'.repeat(256)}`)).toHaveLength(1)
      expect(await issues('GET', '/mesh/paths?source=abilene-0')).toEqual(['destination'])
      expect(await issues('GET', '/mesh/paths?source=abilene-0&destination=abilene-0')).toEqual(['destination'])
      expect(await issues('GET', '/mesh/paths?source=abilene-0&destination=abilene-1&k=17')).toEqual(['k'])
      const rules = 'rules: [{ id: a, effect: MAYBE, subject: "*", action: "*" }]'
      expect(await issues('POST', '/policies', { policy_id: 'p', yaml_content: rules })).toEqual([
        'yaml_content.rules[0].effect',
      ])
      const broken = await refused(client, 400, 'POST', '/policies', {
        body: { policy_id: 'p', yaml_content: 'rules: [' },
      })
      expect(broken.issues).toEqual([{ path: 'yaml_content', message: expect.stringContaining('line 1, column') }])
      await client.ask('POST', '/policies', { body: POLICY })
      expect(await issues('PUT', '/policies/p1', { yaml_content: rules })).toEqual(['yaml_content.rules[0].effect'])

      await refused(client, 409, 'POST', '/mesh/nodes', { body: { ...NODE, node_id: 'abilene-0' } })
      await refused(client, 409, 'POST', '/policies', { body: POLICY })
      await refused(client, 400, 'POST', '/mesh/nodes', { body: '{ no JSON' })
      const headers = { 'content-type': 'text/plain' }
      await refused(client, 415, 'POST', '/mesh/nodes', { body: 'n1', headers })
      await refused(client, 415, 'PATCH', '/mesh/nodes/abilene-0', { body: 'n1', headers })
      await refused(client, 415, 'POST', '/mesh/links', { body: 'n1', headers })
      await refused(client, 415, 'PATCH', '/mesh/links/a%3Ab', { body: 'n1', headers })
      await refused(client, 415, 'POST', '/policies', { body: 'n1', headers })
      await refused(client, 415, 'PUT', '/policies/p1', { body: 'n1', headers })
      const long = { body: JSON.stringify({ yaml_content: 'x'.repeat(5_000_000) }) }
      for (const path of ['/mesh/nodes', '/mesh/links', '/policies']) await refused(client, 413, 'POST', path, long)
      await refused(client, 413, 'PATCH', '/mesh/nodes/abilene-0', long)
      await refused(client, 413, 'PATCH', '/mesh/links/a%3Ab', long)
      await refused(client, 413, 'PUT', '/policies/p1', long)
      const malformed = await fetch(`${client.base}/mesh/nodes/%zz`)
      expect([malformed.status, malformed.headers.get('content-type')]).toEqual([
        400,
        expect.stringContaining('application/problem+json'),
      ])
      const nowhere = await fetch(`${client.base}/nowhere`)
      expect([nowhere.status, nowhere.headers.get('content-type')]).toEqual([
        404,
        expect.stringContaining('application/problem+json'),
      ])
    }))

  test('gives pages by key, each with the way to the next', () =>
    served(async (client) => {
      const all = async (first: string): Promise<string[]> => {
        const ids: string[] = []
        for (let next: string | null = first; next !== null; ) {
          const { body }: Answer<Page> = await client.ask<Page>('GET', next)
          ids.push(...body.items.map(({ node_id, policy_id }) => node_id ?? policy_id))
          next = body.next
        }
        return ids
      }
      const ids = abilene().nodeIds.toSorted()
      for (const limit of [1, 4, 10, 11, 12]) expect(await all(`/mesh/nodes?limit=${limit}`)).toEqual(ids)
      expect(await all('/mesh/nodes?limit=2&after=abilene-6')).toEqual(['abilene-7', 'abilene-8', 'abilene-9'])
      await client.ask('PATCH', '/mesh/nodes/abilene-3', { body: { started: false, protocols: ['a&b=c'] } })
      expect(await all('/mesh/nodes?limit=1&started=false')).toEqual(['abilene-3'])
      expect(await all('/mesh/nodes?limit=1&protocol=a%26b%3Dc')).toEqual(['abilene-3'])
      expect(await all('/mesh/nodes?limit=3&started=true&interface=if0')).toHaveLength(10)
      expect(await all('/policies')).toEqual([])
      for (const policy_id of ['b', 'a', 'c&d'])
        await client.ask('POST', '/policies', { body: { ...POLICY, policy_id } })
      expect(await all('/policies?limit=1')).toEqual(['a', 'b', 'c&d'])
    }))

  test('adds, reads, replaces and removes a policy', () =>
    served(async (client) => {
      const added = await client.ask('POST', '/policies', {
        body: { policy_id: 'p1', yaml_content: deny('node_use:x') },
      })
      expect([added.status, added.headers.get('location')]).toEqual([201, '/policies/p1'])
      expect(added.body).toMatchObject({ policy_id: 'p1', rules_count: 1, yaml_content: deny('node_use:x') })
      expect((await client.ask('GET', '/policies/p1')).body).toEqual(added.body)
      const replaced = await client.ask('PUT', '/policies/p1', { body: { yaml_content: 'rules: []' } })
      expect(replaced.body).toMatchObject({ rules_count: 0, yaml_content: 'rules: []' })
      expect((await client.ask('DELETE', '/policies/p1')).status).toBe(204)
      for (const method of ['GET', 'DELETE']) await refused(client, 404, method, '/policies/p1')
      const again = await client.ask('PUT', '/policies/p1', { body: { yaml_content: 'rules: []' } })
      expect([again.status, again.headers.get('location')]).toEqual([201, '/policies/p1'])
    }))

  test('finds paths, keeps them for 30 seconds, and finds them anew when something has changed', () =>
    served(async (client) => {
      const ask = async (source = 'abilene-3', destination = 'abilene-9', k = 2): Promise<Paths> => {
        const query = new URLSearchParams({ source, destination, k: String(k) })
        const { status, body } = await client.ask<Paths>('GET', `/mesh/paths?${query}`)
        expect(status).toBe(200)
        return body
      }
      const across = ({ primary, alternatives }: Paths, id: string): boolean =>
        [...primary, ...alternatives].some(({ nodes }) => nodes.includes(id))
      const before = Date.now()
      const first = await ask()
      expect(first.cache.origin).toBe('computed')
      const lives = Date.parse(first.cache.expires_at) - before
      expect(lives).toBeGreaterThanOrEqual(29_900)
      expect(lives).toBeLessThanOrEqual(30_000 + Date.now() - before)
      expect(first.primary).toHaveLength(2)
      expect(across(first, 'abilene-8')).toBe(true)
      const again = await ask()
      expect(again).toEqual({ ...first, cache: { ...again.cache, origin: 'hit', expires_at: first.cache.expires_at } })

      await client.ask('PATCH', '/mesh/nodes/abilene-8', { body: { started: false } })
      const stopped = await ask()
      expect([stopped.cache.origin, stopped.primary.length, across(stopped, 'abilene-8')]).toEqual([
        'computed',
        1,
        false,
      ])
      await client.ask('PATCH', '/mesh/nodes/abilene-8', { body: { started: true } })
      expect(await ask()).toMatchObject({
        primary: first.primary.map(({ nodes }) => ({ nodes })),
        cache: { origin: 'computed' },
      })

      await client.ask('POST', '/policies', {
        body: { policy_id: 'p', yaml_content: deny('edge_use:abilene-9:abilene-8') },
      })
      const denied = await ask()
      expect(denied).toMatchObject({ cache: { origin: 'computed' }, stats: { policy_filtered: 1 } })
      expect(denied.primary).not.toEqual(first.primary)
      await client.ask('PUT', '/policies/p', { body: { yaml_content: deny('route_use:static') } })
      expect(await ask()).toMatchObject({ primary: [], stats: { policy_filtered: 14 } })
      await client.ask('DELETE', '/policies/p')
      expect((await ask()).primary).toHaveLength(2)

      // Denver and Houston are what the west hangs on.
      for (const id of ['abilene-6', 'abilene-8']) await client.ask('DELETE', `/mesh/nodes/${id}`)
      expect(await ask()).toMatchObject({ primary: [], alternatives: [] })
      await refused(client, 404, 'GET', '/mesh/paths?source=abilene-6&destination=abilene-9')
      await refused(client, 404, 'GET', '/mesh/paths?source=abilene-9&destination=nobody')
      await client.ask('POST', '/mesh/nodes', { body: { ...NODE, node_id: 'abilene-6', started: true } })
      // Its links went with it.
      expect(across(await ask(), 'abilene-6')).toBe(false)
      for (const target of ['abilene-3', 'abilene-7'])
        await client.ask('POST', '/mesh/links', { body: { source: 'abilene-6', target, cost: 1 } })
      expect(across(await ask(), 'abilene-6')).toBe(true)
      // It has no links.
      await client.ask('POST', '/mesh/nodes', { body: { ...NODE, started: true } })
      expect(await ask('n1', 'abilene-0')).toMatchObject({ primary: [], alternatives: [] })
    }))

  test('leads no paths across what others have stopped or removed', () =>
    served(async (client, { opened }) => {
      const others = await opened.openAgain()
      await others.nodes.update('abilene-8', { started: false })
      await others.nodes.delete('abilene-7')
      await others.policies.create({ policyId: 'p', yamlContent: deny('node_use:abilene-1') })
      const { body } = await client.ask<Paths>('GET', '/mesh/paths?source=abilene-3&destination=abilene-10')
      expect(body.primary).toEqual([])
      const { body: near } = await client.ask<Paths>('GET', '/mesh/paths?source=abilene-3&destination=abilene-5')
      expect(near.primary).toHaveLength(1)
    }))

  test('finds the paths once, however many ask', () =>
    served(async (client) => {
      const ask = () => client.ask<Paths>('GET', '/mesh/paths?source=abilene-3&destination=abilene-9&k=3')
      const answers = await Promise.all(Array.from({ length: 20 }, ask))
      const [first] = answers
      for (const { body } of answers) expect({ ...body, cache: 0 }).toEqual({ ...first?.body, cache: 0 })
      const { body } = await client.ask<string>('GET', '/metrics')
      expect(body).toContain('\nmeshstore_cache_duration_count{meshstore_cache_origin="computed"} 1\n')
    }))

  test('draws a map of the topology', () =>
    served(async (client) => {
      const { body } = await client.ask<{ nodes: { id: string; x: number; y: number }[]; links: [] }>(
        'GET',
        '/mesh/map',
      )
      expect(body).toMatchObject({ label: 'Abilene', metric: 'latency_ms' })
      expect(body.nodes.map(({ id }) => id)).toEqual(abilene().nodeIds.toSorted())
      expect(new Set(body.nodes.map(({ x, y }) => `${x} ${y}`)).size).toBe(11)
      expect(body.links).toHaveLength(14)
    }))

  test('tells what the storage did, second by second', () =>
    served(async (client) => {
      for (const _ of [1, 2, 3, 4]) await client.ask('GET', '/mesh/paths?source=abilene-0&destination=abilene-9')
      const samples: Activity['samples'] = []
      // The second in which it happened has to be over.
      while (!samples.some(({ hit_rate: rate }) => rate === 0.75)) {
        const { status, body } = await client.ask<Activity>('GET', `/activity?after=${samples.at(-1)?.at ?? 0}`)
        expect(status).toBe(200)
        samples.push(...body.samples)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      expect(samples.map(({ at }) => at)).toEqual(samples.map((_, index) => (samples[0]?.at ?? 0) + index * 1_000))
      expect(samples.some(({ statements, statement_p99_ms: p99 }) => statements > 0 && Number(p99) > 0)).toBe(true)
      // A commit may begin in one second and end in the next.
      expect(samples.some(({ waiting_writes: writes }) => writes > 0)).toBe(true)
      expect(samples.some(({ commits }) => commits > 0)).toBe(true)
      await refused(client, 400, 'GET', '/activity?after=yesterday')
    }))

  test('tells its health and its metrics', () =>
    served(async (client, { store }) => {
      await client.ask('POST', '/mesh/nodes', { body: NODE })
      for (const _ of [1, 2, 3]) await client.ask('GET', '/mesh/paths?source=abilene-0&destination=abilene-9')
      const health = await client.ask('GET', '/health')
      expect(health.status).toBe(200)
      expect(health.body).toMatchObject({
        status: 'ok',
        nodes: 12,
        policies: 0,
        cached_paths: 1,
        dialect: store.dialect,
      })
      const { body, headers } = await client.ask<string>('GET', '/metrics')
      expect(headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
      for (const line of [
        'meshstore_cache_duration_count{meshstore_cache_origin="computed"} 1',
        'meshstore_cache_duration_count{meshstore_cache_origin="hit"} 2',
        'meshstore_readable 1',
        'meshstore_rows{db_collection_name="nodes"} 12',
        'http_server_request_duration_count{http_request_method="POST",http_route="/mesh/nodes",http_response_status_code="201"} 1',
        'http_server_request_duration_count{http_request_method="GET",http_route="/mesh/paths",http_response_status_code="200"} 3',
      ])
        expect(body.split('\n')).toContain(line)
      expect(body).toMatch(/^db_client_operation_duration_count\{[^}]*db_operation_name="nodes\.[^"]+"\} [1-9]/m)
      expect(body).toMatch(/^meshstore_transaction_duration_count\{meshstore_read_only="false"\} [1-9]/m)
      expect(body).toMatch(/^meshstore_commit_duration_count [1-9]/m)
      expect(body).not.toMatch(/abilene-\d/)
    }))

  test('asks to come again later while others hold what it needs', () =>
    served(
      async (client, { opened }) => {
        const others = await opened.openAgain({ busyTimeoutMs: 5_000 })
        const [held, done] = [gate(), gate()]
        const holding = others.transaction(
          async (tx) => {
            await tx.nodes.update('abilene-0', { started: false })
            held.open()
            await done.opened
          },
          { timeoutMs: 60_000 },
        )
        await held.opened
        const problem = await refused(client, 503, 'PATCH', '/mesh/nodes/abilene-0', { body: { started: true } })
        expect(['BUSY', 'TIMEOUT']).toContain(problem.code)
        expect(problem.headers.get('retry-after')).toBe('1')
        expect((await client.ask('GET', '/mesh/nodes/abilene-0')).status).toBe(200)
        done.open()
        await holding
        expect((await client.ask('PATCH', '/mesh/nodes/abilene-0', { body: { started: true } })).status).toBe(200)
      },
      { busyTimeoutMs: 100 },
    ))

  test('says so when the storage is gone', () =>
    served(async (client, { store }) => {
      await store.close()
      const problem = await refused(client, 503, 'GET', '/mesh/nodes')
      expect([problem.code, problem.headers.get('retry-after')]).toEqual(['CLOSED', '1'])
      await refused(client, 503, 'GET', '/mesh/paths?source=abilene-0&destination=abilene-1')
      const health = await client.ask('GET', '/health')
      expect([health.status, health.body.status]).toEqual([503, 'failing'])
      expect((await client.ask<string>('GET', '/metrics')).body).toContain('\nmeshstore_readable 0\n')
    }))

  test('has given every answer that it describes', () => {
    // Answers that take a trigger of others, or a storage that is away.
    const rare = (answer: string): boolean => / 503$|^(PATCH|PUT|DELETE) .* 409$/.test(answer) || answer === EVENTS
    expect(described.length).toBeGreaterThan(40)
    expect(described.filter((answer) => !seen.has(answer) && !rare(answer))).toEqual([])
  })
})
