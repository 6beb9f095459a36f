/** The page in a real browser, on a server of its own. */
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, expect } from 'vitest'
import type { LastingBackend } from '../../../../test/support/backends.ts'
import type { Topology } from '../../src/topology.ts'
import { complaintsOf, findChromium, launch } from './browser.ts'
import { type Serving, serving } from './serving.ts'

/** How slow the machine is does not decide. */
const PATIENCE_MS = 280_000
const DESKTOP = { viewport: { width: 1280, height: 860 } }

export const program = findChromium()
if (program === undefined) {
  console.warn('\n*** NOT TESTED: the page. There is no Chromium on the PATH; CHROMIUM names another one. ***\n')
}

/** The only global that the page makes. */
interface PageGlobals {
  readonly mesh: { placeOf(id: string): { x: number; y: number } }
}

type Visit = (
  backend: LastingBackend,
  topology: Topology,
  work: (page: Page, serving: Serving) => Promise<void>,
  how?: BrowserContextOptions,
) => Promise<void>

/** One browser for a file of tests. A complaint of the page fails the visit. */
export function visiting(): Visit {
  let browser: Browser | undefined
  beforeAll(async () => {
    if (program !== undefined) browser = await launch(program)
  })
  afterAll(() => browser?.close())

  return async (backend, topology, work, how = {}) => {
    await using served = await serving(backend, topology)
    const context = await browser?.newContext({ ...DESKTOP, ...how })
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
}

export const placeOf = (page: Page, id: string): Promise<{ x: number; y: number }> =>
  page.evaluate((id) => (globalThis as unknown as PageGlobals).mesh.placeOf(id), id)

export async function click(page: Page, id: string): Promise<void> {
  const { x, y } = await placeOf(page, id)
  await page.mouse.click(x, y)
}

/** The paths that the page shows, once the answer is another than the one before. */
export async function answer(page: Page, before = ''): Promise<{ origin: string; text: string; paths: string[] }> {
  const other = before === '' ? {} : { hasNotText: before }
  await page.locator('#answer', { has: page.locator('.badge'), ...other }).waitFor()
  const text = (await page.textContent('#answer')) ?? ''
  const origin = (await page.textContent('#answer .badge')) ?? ''
  return { origin, text, paths: await page.locator('#paths li .hops').allInnerTexts() }
}

/** Waits until the expression is true. Playwright's own `waitForFunction` of a text is refused by the page's security policy. */
export async function until(page: Page, expression: string): Promise<void> {
  while (!(await page.evaluate<boolean>(expression))) await new Promise((resolve) => setTimeout(resolve, 50))
}
