/** A real browser, if the machine has one. */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium, type Page, type Request } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** The path of a Chromium: that of `CHROMIUM`, or the first one on the `PATH`. */
export function findChromium(): string | undefined {
  const { CHROMIUM, PATH = '' } = process.env
  if (CHROMIUM !== undefined) return CHROMIUM
  return PATH.split(delimiter)
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find(isProgram)
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Chromium's own sandbox does not work for root. */
export const launch = (executablePath: string): Promise<Browser> =>
  chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })

/** The page's complaints, and its requests to anybody but the server. */
export function complaintsOf(page: Page, base: string): string[] {
  const complaints: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`)
  })
  page.on('pageerror', ({ message }) => complaints.push(`thrown: ${message}`))
  // Leaving the page ends its reads and subscriptions.
  const isLeft = (request: Request): boolean => request.failure()?.errorText === 'net::ERR_ABORTED'
  page.on('requestfailed', (request) => {
    if (!isLeft(request)) complaints.push(`failed: ${request.url()}`)
  })
  page.on('request', (request) => {
    if (!request.url().startsWith(`${base}/`)) complaints.push(`asked elsewhere: ${request.url()}`)
  })
  return complaints
}
