/** The site: the pages that `site/build.ts` has put into `site/pages`. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

interface Item {
  readonly text: string
  readonly link?: string
  readonly items?: readonly Item[]
}

const sidebar = JSON.parse(readFileSync(join(import.meta.dirname, '../pages/sidebar.json'), 'utf8')) as Item[]

/** As GitHub makes them: a link to a section works here, there and in an editor. */
const slugify = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')

/**
 * The output of a command is read, and not copied: its long lines wrap. Help texts have room for their
 * 82 columns. In dark mode the ground of a picture stays light.
 */
const STYLE = `
:root { --vp-layout-max-width: 1640px; }
.vp-doc [class*='language-'] code { font-size: 13px; }
.vp-doc .language-text code { font-size: 11.5px; }
.vp-doc .language-console code { white-space: pre-wrap; word-break: break-word; }
.VPDoc.has-aside .content-container { max-width: 900px; }
.vp-doc p > img { margin: 0 auto; max-width: 100%; border-radius: 8px; background: #fff; }
`

export default {
  title: 'Meshstore',
  description: 'Storage for the control plane of a mesh network, in one SQLite file or on PostgreSQL',
  lang: 'en',
  head: [
    ['link', { rel: 'icon', href: 'data:,' }],
    ['style', {}, STYLE],
  ],
  srcDir: 'pages',
  outDir: 'dist',
  cacheDir: '.cache',
  cleanUrls: false,
  // A link to a page or a file that is not there ends the build.
  ignoreDeadLinks: false,
  markdown: { anchor: { slugify } },
  themeConfig: {
    search: { provider: 'local' },
    sidebar,
    outline: [2, 3],
    nav: [
      { text: 'Guides', link: '/guides/nodes-and-policies' },
      { text: 'Operations', link: '/operations/runbook' },
      { text: 'Errors', link: '/reference/errors' },
      { text: 'API', link: '/api/' },
    ],
  },
}
