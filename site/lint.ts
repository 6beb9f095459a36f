/**
 * `node site/lint.ts`: textlint over README, changelog, documents, and the messages and help texts, which are read from the source. It
 * is the first step of `npm run docs`. test/language.test.ts applies the same rules, and a sentence's average, without these packages.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messages, wordsForPeople } from '../test/support/messages.ts'
import { MOST_WORDS } from '../test/support/plain-words.ts'

const root = join(import.meta.dirname, '..')

/** Whether textlint found nothing. */
export function lint(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'meshstore-textlint-'))
  try {
    mkdirSync(join(folder, 'texts'))
    const write = (name: string, texts: readonly string[]): void =>
      writeFileSync(join(folder, 'texts', name), texts.map((text) => text.replaceAll(/\s+/g, ' ')).join('\n\n'))
    write(
      'messages.txt',
      messages().map(({ text }) => text),
    )
    write('help.txt', wordsForPeople())
    const rules = { 'en-max-word-count': { max: MOST_WORDS }, 'common-misspellings': true }
    writeFileSync(join(folder, 'rules.json'), JSON.stringify({ rules }))
    const pages = ['README.md', 'CHANGELOG.md', 'docs/**/*.md'].map((page) => join(root, page))
    const { status } = spawnSync(
      process.execPath,
      [
        join(root, 'site/node_modules/.bin/textlint'),
        ...['--config', join(folder, 'rules.json'), '--rulesdir', join(root, 'site/textlint'), '--format', 'unix'],
        ...pages,
        join(folder, 'texts/*.txt'),
      ],
      { cwd: join(root, 'site'), stdio: ['ignore', 'inherit', 'inherit'] },
    )
    return status === 0
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (import.meta.main && !lint()) process.exitCode = 1
