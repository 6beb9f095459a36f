/** The sentences of a document, a help text or a message. Code blocks, tables' rules, links' targets and code in a line count as little as a reader reads of them. */

/** Abbreviations, versions and file names hold points that end nothing. */
const ENDS = /(?<=[.!?])(?<!\b(?:e\.g|i\.e|v\d+)\.)[)”’"]?\s+(?=[\p{Lu}\p{N}`*"“([…])/u

export function sentencesOf(text: string): string[] {
  return text.split(ENDS).flatMap((part) => {
    const sentence = part.replaceAll(/\s+/g, ' ').trim()
    return wordsOf(sentence).length > 1 ? [sentence] : []
  })
}

/** A number, a name and a piece of code are a word each. */
export const wordsOf = (sentence: string): string[] =>
  sentence
    .replaceAll(/`[^`]*`/g, 'code')
    .split(/\s+/)
    .filter((word) => /[\p{L}\p{N}]/u.test(word))

/** The paragraphs, items and cells of a page. A semicolon in a cell separates entries. */
export function paragraphsOf(markdown: string): string[] {
  const plain = markdown
    .replaceAll(/<!--.*?-->/gs, '')
    .replaceAll(/^ *(```|~~~).*?^ *\1 *$/gms, '')
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/(\*\*|__)(.*?)\1/g, '$2')
    .replaceAll(/<[^>]+>/g, '')
  return plain
    .split(/\n\s*\n|\n(?= *(?:[-*]|\d+\.) )|\n(?=[#|])/)
    .flatMap((block) => {
      const text = block.trim()
      if (/^\|[\s|:-]+\|?$/.test(text)) return []
      return text.startsWith('|') ? text.split(/(?<!\\)\||; /) : [text.replace(/^(?:#+|[-*]|\d+\.|>) +/, '')]
    })
    .map((text) => text.trim())
    .filter((text) => text !== '')
}

export interface Figures {
  readonly words: number
  readonly sentences: number
  /** Words in a sentence. */
  readonly average: number
  readonly above25: number
  readonly above30: number
  readonly longest: number
  /** In a hundred words. */
  readonly you: number
}

export function figuresOf(sentences: readonly string[]): Figures {
  const lengths = sentences.map((sentence) => wordsOf(sentence).length)
  const words = lengths.reduce((sum, length) => sum + length, 0)
  const you = sentences.join(' ').match(/\b[Yy]ours?(?:elf)?\b|\b[Yy]ou\b/g)?.length ?? 0
  return {
    words,
    sentences: sentences.length,
    average: Math.round((words / Math.max(1, sentences.length)) * 10) / 10,
    above25: lengths.filter((length) => length > 25).length,
    above30: lengths.filter((length) => length > 30).length,
    longest: Math.max(0, ...lengths),
    you: Math.round((you * 1_000) / Math.max(1, words)) / 10,
  }
}

/** Headings and cells of a table are short, and would lower the average. */
export const isSentence = (text: string): boolean => /[.!?:]$/.test(text)
