/** How we write (README, documents, changelog, help texts, findings, messages): short sentences that begin with their subject, one term for one concept. */
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { messages, wordsForPeople } from './support/messages.ts'
import { MOST_WORDS, RIDDLE, TERMS } from './support/plain-words.ts'
import { figuresOf, isSentence, paragraphsOf, sentencesOf, wordsOf } from './support/prose.ts'

const root = join(import.meta.dirname, '..')
const MOST_ON_AVERAGE = 15

const pages = ['README.md', 'CHANGELOG.md', ...globSync('docs/**/*.md', { cwd: root })].toSorted()
const texts: readonly (readonly [what: string, sentences: readonly string[]])[] = [
  ...pages.map((page) => [page, paragraphsOf(readFileSync(join(root, page), 'utf8')).flatMap(sentencesOf)] as const),
  ['messages', messages().flatMap(({ text }) => sentencesOf(text))],
  ['help texts and findings', wordsForPeople().flatMap((text) => paragraphsOf(text).flatMap(sentencesOf))],
]

const faultsOf = (sentence: string): string[] => [
  ...(wordsOf(sentence).length > MOST_WORDS ? [`${wordsOf(sentence).length} words: ${sentence}`] : []),
  ...(RIDDLE.test(sentence) ? [`begins without its subject: ${sentence}`] : []),
  ...Object.entries(TERMS).flatMap(([term, other]) => (other.test(sentence) ? [`say ${term}: ${sentence}`] : [])),
]

test.each(texts)('%s', (_, sentences) => {
  expect(sentences.length).toBeGreaterThan(1)
  expect(sentences.flatMap(faultsOf)).toEqual([])
  // Fewer say nothing of a page.
  const whole = sentences.filter(isSentence)
  if (whole.length > 5) expect(figuresOf(whole).average).toBeLessThanOrEqual(MOST_ON_AVERAGE)
})

test('prints what the documents came to', () => {
  const all = texts.slice(0, -2).flatMap(([, sentences]) => sentences)
  const { words } = figuresOf(all)
  const { average, above25, longest, you } = figuresOf(all.filter(isSentence))
  console.log(
    `${pages.length} pages, ${words} words; a sentence has ${average} on average and ${longest} at most, ${above25} have more than 25; "you" ${you} times in a hundred words`,
  )
})

test('notices what must not be', () => {
  const long = `It ${'goes on and '.repeat(10)}ends.`
  for (const wrong of [long, 'Of a durable write it takes a twentieth.', 'Those in it fail.', 'The DB is full.'])
    expect(faultsOf(wrong), wrong).toHaveLength(1)
  for (const right of ['What is it?', 'What differs', 'The database is full.']) expect(faultsOf(right)).toEqual([])
  expect(sentencesOf('One is here. Two (`a.b. C`) is there, at version 1.2. Three?')).toHaveLength(3)
  expect(paragraphsOf('# Head\n\nA [link](to.md).\n\n```ts\ncode\n```\n| a | b c |\n|---|---|\n- one item')).toEqual([
    'Head',
    'A link.',
    'a',
    'b c',
    'one item',
  ])
})
