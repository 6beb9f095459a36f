/**
 * `npm run docs`: the documents as a site, in site/dist, with search and llms.txt. It needs no network once its packages are
 * there (`npm ci --prefix site`). The API's pages are made from the doc comments, the commands' from the program.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { commandPages } from './commands.ts'
import { lint } from './lint.ts'

const site = import.meta.dirname
const root = resolve(site, '..')
const pages = join(site, 'pages')
const bin = (name: string): string => join(site, 'node_modules/.bin', name)

if (!existsSync(bin('vitepress'))) {
  console.error('The packages of the site are not installed. Run npm ci --prefix site, then npm run docs again.')
  process.exit(1)
}
const begun = performance.now()
if (!lint()) process.exit(1)
for (const folder of [pages, join(site, 'dist')]) rmSync(folder, { recursive: true, force: true })
cpSync(join(root, 'docs'), pages, { recursive: true, filter: (file) => !file.endsWith('.dot') })
cpSync(join(root, 'README.md'), join(pages, 'index.md'))
cpSync(join(root, 'CHANGELOG.md'), join(pages, 'changelog.md'))
for (const file of ['CONTRIBUTING.md', 'SECURITY.md']) cpSync(join(root, file), join(pages, file.toLowerCase()))
mkdirSync(join(pages, 'reference'), { recursive: true })
writeFileSync(join(pages, 'reference/commands.md'), commandPages())

const run = (name: string, ...args: string[]): void => {
  execFileSync(process.execPath, [bin(name), ...args], { cwd: site, stdio: ['ignore', 'ignore', 'inherit'] })
}
run('typedoc')

/** The address on the site of each page of the repository. */
const MOVED: Readonly<Record<string, string>> = {
  'README.md': 'index.md',
  'CHANGELOG.md': 'changelog.md',
  'CONTRIBUTING.md': 'contributing.md',
  'SECURITY.md': 'security.md',
}

/** Links to what is on the site lead there; what is in the repository alone is named. */
function relinked(page: string, text: string): string {
  const from = Object.keys(MOVED).find((name) => MOVED[name] === page) ?? `docs/${page}`
  return text.replaceAll(
    /(!?)\[([^\]]*)\]\((?!https?:|#)([^)\s]+)\)/g,
    (link, image: string, label: string, to: string) => {
      const [path = '', anchor] = to.split('#')
      const target = relative(root, resolve(root, dirname(from), path))
      const place = MOVED[target] ?? (target.startsWith('docs/') ? target.slice('docs/'.length) : undefined)
      if (place === undefined) return image ? link : `${label} (\`${target}\`)`
      const relativePlace = relative(dirname(page), place)
      return `${image}[${label}](./${relativePlace}${anchor === undefined ? '' : `#${anchor}`})`
    },
  )
}

const titleOf = (text: string): string => /^# (.+)$/m.exec(text)?.[1]?.replaceAll(/[`\\]/g, '') ?? ''
const own = globSync('**/*.md', { cwd: pages, exclude: ['api/**'] }).toSorted()
for (const page of own) {
  const file = join(pages, page)
  writeFileSync(file, relinked(page, readFileSync(file, 'utf8')))
}

const read = (page: string): string => readFileSync(join(pages, page), 'utf8')
const item = (page: string) => ({ text: titleOf(read(page)), link: `/${page.replace(/\.md$/, '')}` })
const inFolder = (folder: string) => own.filter((page) => dirname(page) === folder).map(item)
/** In the order of the README's list, which is its end. */
const placeOf = (link: string): number => read('index.md').lastIndexOf(`${link.slice(1)}.md`)
const first = {
  text: 'Start',
  items: [{ text: 'Meshstore', link: '/' }, ...['getting-started.md', 'concepts.md', 'comparison.md'].map(item)],
}
const api = { text: 'API', link: '/api/' }
const others = ['guarantees.md', 'moving-to-postgresql.md', 'changelog.md', 'contributing.md', 'security.md']
writeFileSync(
  join(pages, 'sidebar.json'),
  JSON.stringify([
    first,
    { text: 'Guides', items: inFolder('guides').toSorted((a, b) => placeOf(a.link) - placeOf(b.link)) },
    { text: 'Operations', items: [...inFolder('operations'), item('moving-to-postgresql.md')] },
    { text: 'Reference', items: [...inFolder('reference'), api] },
    { text: 'Project', items: others.filter((page) => own.includes(page) && !page.startsWith('moving')).map(item) },
  ]),
)

run('vitepress', 'build')

/** https://llmstxt.org: what there is, in one page; and all of it, in one file. */
const summaryOf = (text: string): string =>
  text
    .split('\n\n')
    .slice(1)
    .find((block) => /^(?:[A-Z]|`[^`])/.test(block))
    ?.split(/(?<=\.)\s/)[0]
    ?.replaceAll('\n', ' ') ?? ''
const lines = own.map(
  (page) => `- [${titleOf(read(page))}](${page.replace(/\.md$/, '.html')}): ${summaryOf(read(page))}`,
)
writeFileSync(
  join(site, 'dist/llms.txt'),
  `# Meshstore\n\n> ${summaryOf(read('index.md'))}\n\n## Documents\n\n${lines.join('\n')}\n`,
)
writeFileSync(join(site, 'dist/llms-full.txt'), own.map(read).join('\n\n'))
const built = globSync('**/*.html', { cwd: join(site, 'dist') }).length
console.log(
  `site/dist: ${built} pages in ${((performance.now() - begun) / 1_000).toFixed(0)} s. Start: site/dist/index.html`,
)
