/**
 * `node scripts/language.ts [REVISION…]`: how the documents read (README, CHANGELOG, docs), in figures, in this tree and at
 * other revisions: `node scripts/language.ts v0.1.0`. Code blocks are left out; headings and cells are no sentences.
 */
import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { figuresOf, isSentence, paragraphsOf, sentencesOf } from '../test/support/prose.ts'

const root = join(import.meta.dirname, '..')
const git = (...args: string[]): string => execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 1e8 })
const isPage = (name: string): boolean => /^(?:README|CHANGELOG|docs\/.*)\.md$/.test(name)

function pagesAt(revision: string | undefined): string[] {
  if (revision === undefined)
    return ['README.md', 'CHANGELOG.md', ...globSync('docs/**/*.md', { cwd: root })].map((name) =>
      readFileSync(join(root, name), 'utf8'),
    )
  const names = git('ls-tree', '-r', '--name-only', revision).split('\n').filter(isPage)
  return names.map((name) => git('show', `${revision}:${name}`))
}

const rows = [...process.argv.slice(2), undefined].map((revision) => {
  const pages = pagesAt(revision)
  const all = pages.flatMap((page) => paragraphsOf(page).flatMap(sentencesOf))
  const { average, above25, above30, longest, sentences } = figuresOf(all.filter(isSentence))
  const { words, you } = figuresOf(all)
  return {
    revision: revision ?? 'this tree',
    pages: pages.length,
    words,
    'words in a sentence': average,
    'above 25 words': `${((100 * above25) / sentences).toFixed(1)} %`,
    'above 30': above30,
    longest,
    '"you" in 100 words': you,
  }
})
console.table(rows)
