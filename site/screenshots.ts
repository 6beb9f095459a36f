/**
 * `node site/screenshots.ts`, after `npm run docs`: pictures of the site at the widths of a desk and of a telephone, in
 * site/screenshots. Fails if a page is wider than its window, or asks for a file that is not there. Needs Chromium on the
 * PATH, or named by `CHROMIUM`.
 */
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join } from 'node:path'
import { chromium, type Page } from 'playwright-core'
import { findChromium } from '../examples/mesh-api/test/support/browser.ts'

const dist = join(import.meta.dirname, 'dist')
const pictures = join(import.meta.dirname, 'screenshots')
const WIDTHS = { desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } }
const PAGES = {
  start: '/',
  concepts: '/concepts.html',
  guide: '/guides/path-cache.html',
  errors: '/reference/errors.html',
  runbook: '/operations/runbook.html',
  commands: '/reference/commands.html',
  api: '/api/',
  interface: '/api/meshstore/interfaces/NodeRepository.html',
}
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

const program = findChromium()
if (program === undefined || !existsSync(dist)) {
  console.error(
    program === undefined ? 'There is no Chromium: install one, or name it in CHROMIUM.' : 'Run npm run docs first.',
  )
  process.exit(1)
}

const missing: string[] = []
const server = createServer(({ url = '/' }, response) => {
  const path = join(dist, decodeURIComponent(new URL(url, 'http://site').pathname))
  const file = existsSync(path) && statSync(path).isDirectory() ? join(path, 'index.html') : path
  if (!existsSync(file)) {
    missing.push(url)
    response.writeHead(404).end()
    return
  }
  response
    .writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' })
    .end(readFileSync(file))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
mkdirSync(pictures, { recursive: true })

const tooWide: string[] = []
/** Tables and code move by themselves in what is too narrow for them. */
const TOO_WIDE = `document.documentElement.scrollWidth > document.documentElement.clientWidth`

async function photograph(page: Page, name: string): Promise<void> {
  await page.evaluate('document.fonts.ready')
  if (await page.evaluate<boolean>(TOO_WIDE)) tooWide.push(name)
  await page.screenshot({ path: join(pictures, `${name}.png`) })
}

const browser = await chromium.launch({
  executablePath: program,
  args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
})
for (const [width, viewport] of Object.entries(WIDTHS))
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await browser.newPage({ viewport, colorScheme })
    for (const [name, path] of Object.entries(PAGES)) {
      await page.goto(base + path)
      await photograph(page, `${width}-${colorScheme}-${name}`)
    }
    await page.locator('.VPNavBarSearch button').first().click()
    await page.locator('.VPLocalSearchBox input').fill('busy')
    await page.locator('.VPLocalSearchBox .result').first().waitFor()
    await photograph(page, `${width}-${colorScheme}-search`)
    await page.close()
  }
await browser.close()
server.close()

for (const name of tooWide) console.error(`Wider than its window: ${name}`)
for (const url of new Set(missing)) console.error(`Not there: ${url}`)
if (tooWide.length + missing.length > 0) process.exitCode = 1
else console.log(`Pictures of ${Object.keys(PAGES).length + 1} pages at two widths, light and dark: ${pictures}`)
