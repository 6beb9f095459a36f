/** The page: a few files, read once. Nothing of it comes from elsewhere. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyPluginAsync } from 'fastify'

const PAGE = join(import.meta.dirname, '../../page')
const TYPES = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' } as const

type Kind = keyof typeof TYPES
const own = (name: string, kind: Kind): [string, string, Kind] => [
  `/page/${name}.${kind}`,
  join(PAGE, `${name}.${kind}`),
  kind,
]

const FILES: readonly [string, string, Kind][] = [
  ['/', join(PAGE, 'index.html'), 'html'],
  own('style', 'css'),
  own('icon', 'svg'),
  own('main', 'js'),
  own('api', 'js'),
  own('mesh-view', 'js'),
  own('node-panel', 'js'),
  own('links-panel', 'js'),
  own('paths-panel', 'js'),
  own('changes-panel', 'js'),
  own('charts-panel', 'js'),
  own('chart', 'js'),
  own('theme', 'js'),
  ['/page/cytoscape.js', fileURLToPath(import.meta.resolve('cytoscape/dist/cytoscape.esm.min.mjs')), 'js'],
  ['/page/uplot.js', fileURLToPath(import.meta.resolve('uplot/dist/uPlot.esm.js')), 'js'],
  ['/page/uplot.css', fileURLToPath(import.meta.resolve('uplot/dist/uPlot.min.css')), 'css'],
]

/** The libraries that draw set styles of their own; nothing else may come from anywhere but this server. */
const SECURITY = "default-src 'self'; style-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

export const page: FastifyPluginAsync = async (app) => {
  for (const [url, file, kind] of FILES) {
    const content = readFileSync(file)
    app.get(url, { schema: { hide: true } }, async (_, reply) =>
      reply
        .headers({
          'content-security-policy': SECURITY,
          'cache-control': 'no-cache',
          'x-content-type-options': 'nosniff',
        })
        .type(`${TYPES[kind]}; charset=utf-8`)
        .send(content),
    )
  }
}
