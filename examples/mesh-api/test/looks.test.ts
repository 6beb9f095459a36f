/**
 * How the page looks at the widths of a desk and of a telephone, in the light and in the dark. `UPDATE_SCREENSHOTS=1` writes
 * examples/mesh-api/screenshot*.png, of a mesh that is used for some minutes (`SCREENSHOT_SECONDS`).
 */
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { sqliteFile } from '../../../test/support/backends.ts'
import { abilene } from './support/topologies.ts'
import { answer, click, program, until, visiting } from './support/visit.ts'

const visit = visiting()
const DESKTOP = { width: 1280, height: 860 }
const PHONE = { width: 390, height: 844 }
const LOOKS = [
  { name: 'screenshot', viewport: DESKTOP, colorScheme: 'dark' },
  { name: 'screenshot-light', viewport: DESKTOP, colorScheme: 'light' },
  { name: 'screenshot-phone', viewport: PHONE, colorScheme: 'dark' },
  { name: 'screenshot-phone-light', viewport: PHONE, colorScheme: 'light' },
] as const

/** Large numbers, which are the widest. */
function samples(): object {
  const now = Date.now()
  const second = (index: number): object => ({
    at: now - (300 - index) * 1_000,
    statements: 12_345 + index,
    commits: 1_234,
    waiting_writes: index === 150 ? 10_000 : 0,
    statement_p99_ms: 0.0123,
    commit_p99_ms: 9_876,
    hit_rate: index % 100 < 50 ? 1 : null,
  })
  return { now, kept_seconds: 300, samples: Array.from({ length: 300 }, (_, index) => second(index)) }
}

/** Elements that stick out of their place, and captions that lie on each other. */
const AMISS = `(() => {
  const boxes = (selector) => [...document.querySelectorAll(selector)].map((element) => [element, element.getBoundingClientRect()])
  const root = document.documentElement
  const found = root.scrollWidth > root.clientWidth ? ['the page is ' + root.scrollWidth + ' wide'] : []
  for (const [element, { left, right }] of boxes('#charts figure, #charts figcaption span, header > *, aside section, .plot canvas')) {
    const { left: from, right: to } = element.parentElement.getBoundingClientRect()
    if (left < from - 1 || right > to + 1) found.push(element.outerHTML.slice(0, 80) + ' sticks out')
  }
  const spans = boxes('#charts figcaption > *, #charts .plot')
  for (const [one, a] of spans) for (const [other, b] of spans)
    if (one !== other && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1)
      found.push(one.textContent + ' lies on ' + other.textContent)
  return found
})()`

/** Colours in a chart, by its place, apart from its ground. */
const COLOURS = `[...document.querySelectorAll('#charts canvas')].map((canvas) => {
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
  const seen = new Set()
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) seen.add(data.slice(at, at + 3).join())
  return [...seen]
})`
const colourOf = (page: Page, name: string): Promise<string> =>
  page.evaluate<string>(`getComputedStyle(document.documentElement).getPropertyValue('--${name}').trim()`)
const rgb = (hex: string): string => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join()

const isAllSeen = (page: Page, ids: readonly string[]): Promise<void> =>
  until(
    page,
    `(() => {
    const { left, right, top, bottom } = document.getElementById('mesh').getBoundingClientRect()
    const places = ${JSON.stringify(ids)}.map((id) => mesh.placeOf(id))
    const [xs, ys] = [places.map(({ x }) => x), places.map(({ y }) => y)]
    const isFull = Math.max(...ys) - Math.min(...ys) > (bottom - top) / 2 || Math.max(...xs) - Math.min(...xs) > (right - left) / 2
    return isFull && xs.every((x) => x > left && x < right) && ys.every((y) => y > top && y < bottom)
  })()`,
  )
const IDS = Array.from({ length: 11 }, (_, index) => `abilene-${index}`)

describe.skipIf(program === undefined)('the page', () => {
  for (const { name, ...how } of LOOKS)
    test(`holds large figures at ${how.viewport.width} pixels, ${how.colorScheme}`, () =>
      visit(
        sqliteFile,
        abilene(),
        async (page) => {
          await page.route('**/activity?*', (route) => route.fulfill({ json: samples() }))
          await page.reload()
          await page.getByText('12.6K/s').waitFor()
          await click(page, 'abilene-3')
          await click(page, 'abilene-2')
          await answer(page)
          expect(await page.evaluate(AMISS)).toEqual([])
          const drawn = await page.evaluate<string[][]>(COLOURS)
          expect(drawn).toHaveLength(4)
          for (const [index, names] of [
            ['chart-1', 'chart-2'],
            ['chart-1', 'chart-2'],
            ['chart-3'],
            ['chart-4'],
          ].entries())
            for (const each of names)
              expect(drawn[index], `${index} ${each}`).toContain(rgb(await colourOf(page, each)))
        },
        how,
      ))

  test('tells of the storage as it is used, and says what has not happened yet', () =>
    visit(sqliteFile, abilene(), async (page, { client }) => {
      const cache = page.locator('#charts figure', { hasText: 'Path cache' })
      await cache.getByText('no path was asked for').waitFor()
      expect(await cache.locator('figcaption b').textContent()).toBe('–')
      // Eleven of twelve that ask for the same path get it from the cache: 92 %.
      const path = '/mesh/paths?source=abilene-3&destination=abilene-2'
      for (let index = 0; index < 12; index++) await client.ask('GET', path)
      await cache.getByText('92 %').waitFor()
      await cache.getByText('no path was asked for').waitFor({ state: 'hidden' })
      await until(page, `/calls [1-9]/.test(document.getElementById('charts').textContent)`)
      await until(page, `/commits [\\d.]+ ms/.test(document.getElementById('charts').textContent)`)
    }))

  test('shows the whole mesh, or the same part of it, in a window of another size', () =>
    visit(sqliteFile, abilene(), async (page) => {
      await isAllSeen(page, IDS)
      for (const viewport of [
        PHONE,
        { width: 844, height: 390 },
        { width: 1600, height: 1000 },
        { width: 1000, height: 700 },
      ]) {
        await page.setViewportSize(viewport)
        await isAllSeen(page, IDS)
      }
      // Folded charts leave their room to the map.
      const height = `document.getElementById('mesh').clientHeight`
      const before = await page.evaluate<number>(height)
      await page.click('#activity summary')
      await until(page, `${height} > ${before} + 50`)
      await isAllSeen(page, IDS)
      await page.click('#activity summary')
      // Zooming in keeps the middle.
      for (let index = 0; index < 3; index++) await page.click('#closer')
      const middle = `(() => {
        const { left, top, width, height } = document.getElementById('mesh').getBoundingClientRect()
        const { x, y } = mesh.placeOf('abilene-0')
        return [Math.round(x - left - width / 2), Math.round(y - top - height / 2)]
      })()`
      const was = await page.evaluate<number[]>(middle)
      await page.setViewportSize(DESKTOP)
      await until(page, `(([x, y]) => Math.abs(x - ${was[0]}) <= 2 && Math.abs(y - ${was[1]}) <= 2)(${middle})`)
    }))

  test.runIf(process.env.UPDATE_SCREENSHOTS !== undefined)('is photographed', async () => {
    const seconds = Number(process.env.SCREENSHOT_SECONDS ?? 240)
    await visit(sqliteFile, abilene(), async (first, { client, store }) => {
      const end = performance.now() + seconds * 1_000
      const pick = (index: number): string => `abilene-${index % 11}`
      for (let turn = 0; performance.now() < end; turn++) {
        // Now and then a link becomes dearer, which drops the paths across it, and some write at once.
        for (let index = 0; index < 12; index++)
          await client.ask('GET', `/mesh/paths?source=${pick(index % 4)}&destination=${pick(5 + (index % 3))}`)
        const [link] = await store.tables.links.list({ limit: 1 })
        if (turn % 8 === 0 && link !== undefined)
          await store.tables.links.update(link.linkId, { cost: 10 + (turn % 16) })
        const writes = turn % 40 === 20 ? 400 : Math.round(6 + 4 * Math.sin(turn / 12))
        await Promise.all(
          Array.from({ length: writes }, (_, index) => store.nodes.update(pick(index), { started: true })),
        )
        await new Promise((resolve) => setTimeout(resolve, 300))
      }
      const browser = first.context().browser()
      for (const { name, ...how } of LOOKS) {
        const context = await browser?.newContext(how)
        const page = await context?.newPage()
        if (page === undefined) throw new Error('There is no browser.')
        await page.goto(client.base)
        await page.waitForSelector('html[data-ready]')
        await click(page, 'abilene-3')
        await click(page, 'abilene-2')
        await answer(page)
        await until(page, `/commits [\\d.]+\\/s/.test(document.getElementById('charts').textContent)`)
        const path = join(import.meta.dirname, `../${name}.png`)
        await page.screenshot({ path, fullPage: how.viewport === PHONE })
        await context?.close()
      }
    })
  })
})
