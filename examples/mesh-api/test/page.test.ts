/** The page as a person uses it, in a real browser. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LastingBackend } from '../../../test/support/backends.ts'
import { eachLastingBackend } from '../../../test/support/settings.ts'
import { readTopologyFile } from '../src/import/read.ts'
import type { Topology } from '../src/topology.ts'
import { complaintsOf, findChromium, launch } from './support/browser.ts'
import { type Serving, serving } from './support/serving.ts'
import { abilene, realTopologyFile } from './support/topologies.ts'

const program = findChromium()
if (program === undefined) {
  console.warn('\n*** NOT TESTED: the page. There is no Chromium on the PATH; CHROMIUM names another one. ***\n')
}

/** The only global that the page makes. */
interface PageGlobals {
  readonly mesh: { placeOf(id: string): { x: number; y: number } }
}

let browser: Browser | undefined
beforeAll(async () => {
  if (program !== undefined) browser = await launch(program)
})
afterAll(() => browser?.close())

/** How slow the machine is does not decide. */
const PATIENCE_MS = 280_000

async function visit(
  backend: LastingBackend,
  topology: Topology,
  work: (page: Page, serving: Serving) => Promise<void>,
) {
  await using served = await serving(backend, topology)
  const context = await browser?.newContext({ viewport: { width: 1200, height: 760 } })
  context?.setDefaultTimeout(PATIENCE_MS)
  const page = await context?.newPage()
  if (page === undefined) throw new Error('There is no browser.')
  try {
    const complaints = complaintsOf(page, served.client.base)
    await page.goto(served.client.base)
    await page.waitForSelector('html[data-ready]')
    await work(page, served)
    expect(complaints).toEqual([])
  } finally {
    await context?.close()
  }
}

async function click(page: Page, id: string): Promise<void> {
  const place = await page.evaluate((id) => (globalThis as unknown as PageGlobals).mesh.placeOf(id), id)
  await page.mouse.click(place.x, place.y)
}

/** What the page shows of paths, once it is another answer than the one before. */
async function answer(page: Page, before = ''): Promise<{ origin: string; text: string; paths: string[] }> {
  const other = before === '' ? {} : { hasNotText: before }
  await page.locator('#answer', { has: page.locator('.badge'), ...other }).waitFor()
  const text = (await page.textContent('#answer')) ?? ''
  const origin = (await page.textContent('#answer .badge')) ?? ''
  return { origin, text, paths: await page.locator('#paths li .hops').allInnerTexts() }
}

eachLastingBackend('the page', (backend) => {
  test.skipIf(program === undefined)('shows paths between two nodes, and others when a node is stopped', () =>
    visit(backend, abilene(), async (page, { store }) => {
      expect(await page.textContent('h1')).toBe('Abilene')
      expect(await page.textContent('#counts')).toBe('11 of 11 nodes are up')
      await click(page, 'abilene-3')
      expect(await page.textContent('#source')).toBe('Seattle')
      await click(page, 'abilene-9')
      const first = await answer(page)
      expect(first.origin).toBe('computed')
      expect(first.text).toMatch(/in \d+\.\d ms/)
      expect(first.paths[0]).toBe('Seattle → Denver → Kansas City → Indianapolis → Atlanta')
      expect(first.paths[1]).toBe('Seattle → Sunnyvale → Los Angeles → Houston → Atlanta')

      const { SCREENSHOT: path } = process.env
      if (path !== undefined) await page.screenshot({ path })

      await page.click('#again')
      const again = await answer(page, first.text)
      expect(again).toMatchObject({ origin: 'cache: hit', paths: first.paths })

      await click(page, 'abilene-8')
      expect(await page.textContent('#node-id')).toBe('Houston (abilene-8)')
      await page.click('text=Stop this node')
      const stopped = await answer(page, again.text)
      expect(await page.textContent('#counts')).toBe('10 of 11 nodes are up')
      expect(await store.nodes.get('abilene-8')).toMatchObject({ started: false })
      expect(stopped.origin).toBe('computed')
      expect(stopped.paths.join()).not.toContain('Houston')

      await page.click('text=Start this node')
      const started = await answer(page, stopped.text)
      expect(started.paths).toEqual(first.paths)

      // Its links are shown with their weights; a dear one is used no more.
      const weights = page.locator('#links input')
      expect(await weights.count()).toBe(3)
      for (let index = 0; index < 3; index++) {
        const before = (await page.textContent('#answer')) ?? ''
        await weights.nth(index).fill(String(5_000 + index))
        await weights.nth(index).press('Enter')
        await answer(page, before)
      }
      const links = await store.tables.links.list({ orderBy: 'cost', descending: true, limit: 3 })
      expect(links.map(({ cost }) => cost)).toEqual([5_002, 5_001, 5_000])
      expect(await page.locator('#paths li .hops').first().innerText()).toBe(first.paths[0])
      // Another program's change is seen, too.
      for (const { linkId } of links) await store.tables.links.update(linkId, { cost: 0.5 })
      for (let index = 0; index < 3; index++)
        while ((await weights.nth(index).inputValue()) !== '0.5') await new Promise((done) => setTimeout(done, 20))
      await page.locator('#changes li', { hasText: 'link changed' }).first().waitFor()

      await page.keyboard.press('Escape')
      expect(await page.textContent('#source')).toBe('Click a node')
      expect(await page.locator('#paths li').count()).toBe(0)
      for (const name of ['New York', 'abilene-1']) {
        await page.fill('#wanted', name)
        await page.press('#wanted', 'Enter')
      }
      expect((await answer(page)).paths[0]).toBe('New York → Chicago')
    }),
  )

  test.skipIf(program === undefined)('shows nodes that the topology lacks, and those that are gone', () =>
    visit(backend, { ...abilene(), names: new Map() }, async (page, { store }) => {
      await store.nodes.delete('abilene-8')
      await store.nodes.create({ nodeId: '<b>"1::2"</b>', interfaces: [], protocols: [], started: true })
      await page.reload()
      await page.waitForSelector('html[data-ready]')
      expect(await page.textContent('#counts')).toBe('11 of 11 nodes are up')
      await click(page, '<b>"1::2"</b>')
      expect(await page.textContent('#node-id')).toBe('<b>"1::2"</b>')
      await click(page, 'abilene-0')
      expect((await answer(page)).paths).toEqual([])
      expect(await page.textContent('#paths')).toBe('No path connects the two.')
    }),
  )

  test.skipIf(program === undefined)('shows what others change as it happens, and draws it', () =>
    visit(backend, abilene(), async (page, { opened }) => {
      await page.waitForSelector('#live.live')
      const newest = page.locator('#changes li').first()
      const others = await opened.openAgain()
      await others.nodes.update('abilene-8', { started: false })
      await page.getByText('10 of 11 nodes are up').waitFor()
      expect(await page.locator('#changes li').allInnerTexts()).toContainEqual('node changed\nHouston')
      await others.nodes.delete('abilene-8')
      await page.getByText('10 of 10 nodes are up').waitFor()
      await page.locator('#changes li', { hasText: 'node removed' }).waitFor()
      await others.nodes.create({ nodeId: '<b>new</b>', interfaces: [], protocols: [], started: true })
      await page.getByText('11 of 11 nodes are up').waitFor()
      await others.policies.create({ policyId: 'p', yamlContent: 'rules: []\n' })
      await page.locator('#changes li', { hasText: 'policy added' }).waitFor()
      await others.pathCache.invalidate({ source: 'x', through: 'y' })
      await newest.getByText('from x, across y').waitFor()
      // Of many at once the latest are listed, and all is read at a stroke.
      await others.nodes.saveMany(
        Array.from({ length: 300 }, (_, index) => ({
          nodeId: `n-${index}`,
          interfaces: [],
          protocols: [],
          started: true,
        })),
      )
      await page.getByText('311 of 311 nodes are up').waitFor()
      expect(await page.locator('#changes li').count()).toBe(50)
    }),
  )

  const aachen = realTopologyFile('freifunk-aachen')
  test.skipIf(program === undefined || aachen === undefined)('shows a mesh of 1,971 nodes', () =>
    visit(backend, readTopologyFile(aachen ?? ''), async (page) => {
      expect(await page.textContent('#counts')).toBe('1,972 of 1,972 nodes are up')
      for (const id of ['aachen-111', 'aachen-1501']) {
        await page.fill('#wanted', id)
        await page.press('#wanted', 'Enter')
      }
      expect((await answer(page)).paths.length).toBeGreaterThan(0)
    }),
  )
})
